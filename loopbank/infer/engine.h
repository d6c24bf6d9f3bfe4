#pragma once
/// Many requests over one model: continuous batching.
///
///     add(request)        a queue, first come first served
///        |                 ... until there is room for all that the request may need
///     step()              one pass of the model over a batch of tokens:
///        |                   the next token of every text that is being written
///        |                   and the next chunk of the prompts that are being read
///     generated, scored, finished
///
/// Requests join and leave at any step. What a request is given does not depend on the others: its
/// tokens attend over its own text, leave layers by its own rule, and the products of the model do
/// not depend on the batch, bit for bit.

#include <ATen/core/Tensor.h>
#include <c10/util/FunctionRef.h>

#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "loopbank/infer/batch_context.h"
#include "loopbank/infer/draft.h"
#include "loopbank/infer/pace.h"
#include "loopbank/infer/request.h"
#include "loopbank/infer/shared_beginnings.h"
#include "loopbank/infer/thread_choice.h"
#include "loopbank/model/language_model.h"
#include "loopbank/model/prepared_model.h"

namespace loopbank {

struct EngineJob;
struct EngineText;

struct EngineOptions {
  at::ScalarType compute_dtype = at::kFloat;  ///< kFloat or kBFloat16
  int64_t weight_bits = 0;                    ///< of products: 8, 4, or 0 for the compute type's
  /// Bytes that keys and values may take.
  int64_t cache_bytes = int64_t{2} << 30;
  /// Tokens of a pass; a prompt that is longer is read in chunks.
  int64_t batch_tokens = 512;
  /// A pass that reads prompts beside texts that are being written takes at most about this many
  /// times one without (infer/pace.h), more than 1; infinite: as long as `batch_tokens` take.
  double stretch = std::numeric_limits<double>::infinity();
  /// Whether passes of a size that one thread computes about as fast take one (thread_choice.h).
  bool chooses_threads = false;
  /// Ids from this one on are never drawn: padding of the vocabulary; 0: all may be.
  int64_t num_ids = 0;
  /// Whether requests with equal beginnings share the pages of these.
  bool share_beginnings = true;
};

/// What an engine has done so far.
struct EngineCounts {
  int64_t steps = 0;
  int64_t tokens = 0;         ///< that passed through the layers
  int64_t prompt_tokens = 0;  ///< of these, those of prompts
  int64_t shared_tokens = 0;  ///< of prompts, found in the cache
  int64_t generated = 0;      ///< tokens drawn, those that end a text included
  double loops_told = 0.0;    ///< sum over `tokens` of the loops that answers tell of each
  LoopCounts loops;
  int64_t head_rows = 0;
  int64_t guessed = 0;  ///< tokens that passed through the layers for a guess
};

class Engine {
 public:
  /// @param model  outlives the engine; its weights do not change meanwhile
  /// @throws Error kConfig for options out of range, kDtype for another compute type
  Engine(const LanguageModel& model, const EngineOptions& options);
  ~Engine();

  /// Prepares the weights, which the first pass else does: one pass over one token, which is not
  /// counted. Only while it is idle.
  void prepare();
  /// @throws Error kConfig for a request that could never run: no prompt, one of more than T
  ///   tokens, ids outside the vocabulary, a budget of loops above N, options out of range, or more
  ///   keys and values than the budget of bytes holds
  RequestId add(Request request);
  /// The same check alone; from any thread.
  /// @throws Error kConfig as add
  void check(const Request& request) const;
  /// Keys and values that a request may take at most, all its completions together; from any thread.
  [[nodiscard]] int64_t bytes_of(const Request& request) const;
  /// Tokens of prompts that are not read yet, of all requests here.
  [[nodiscard]] int64_t unread_prompt_tokens() const;

  /// One pass. Without requests it does nothing.
  StepOutput step();

  /// Ends a request, all its completions; its pages are free at once.
  /// @return whether there was such a request
  bool cancel(RequestId id);
  /// Ends one completion.
  bool cancel(RequestId id, int64_t completion);

  /// Whether there is nothing left to do.
  [[nodiscard]] bool idle() const;
  [[nodiscard]] const EngineCounts& counts() const { return counts_; }
  [[nodiscard]] const PageStore& store() const { return *store_; }
  /// For tests: see PageStore::poison.
  void poison_pages() { store_->poison(); }

 private:
  struct Batch;

  [[nodiscard]] int64_t num_ids() const;
  [[nodiscard]] ops::AttentionHeads heads() const;
  void admit();
  void start(EngineJob& job);
  void gather(Batch& batch);
  void gather_prompts(Batch& batch, int64_t room);
  void guess();
  void guess_by_model(const std::vector<EngineText*>& texts, int64_t round);
  /// Takes guesses back out of the texts, with what was read of those that were wrong.
  void drop_guesses(double seconds, const StepOutput& output);
  void add_tokens(Batch& batch, EngineText& text, int64_t count);
  [[nodiscard]] int64_t next_tokens(const EngineText& text, int64_t room) const;
  /// The layers over the tokens of the batch.
  [[nodiscard]] LanguageModel::Hidden hidden_of(Batch& batch);
  [[nodiscard]] ForwardOptions options_of(Batch& batch);
  void run(Batch& batch, StepOutput& output);
  /// Notes the loops that each token ran, [L, 1, R].
  void count(Batch& batch, const at::Tensor& loops);
  /// What the logits of some rows say. states: [R, D]
  void read_logits(Batch& batch, const at::Tensor& states, std::span<const int64_t> some,
                   StepOutput& output);
  /// Shows others what was read of the prompts.
  void share_what_was_read(const Batch& batch);
  void read_row(EngineText& text, int64_t place, const float* logits, StepOutput& output);
  /// Scores a token of the text by the logits of the one before it.
  void score_token(EngineText& text, int64_t place, const float* logits, StepOutput& output) const;
  void finish_prompt(EngineText& text, const float* logits, StepOutput& output);
  void draw(EngineText& text, const float* logits, StepOutput& output);
  void finish(EngineText& text, StopReason reason, StepOutput& output);
  /// Forgets shared beginnings, the oldest first, until there is room for what `fits` tries.
  void make_room_until(c10::function_ref<bool()> fits);
  /// Gives a prompt what others have read of it; whether the next page of it is in the batch.
  [[nodiscard]] bool is_being_read(Batch& batch, EngineText& text);
  void sweep();

  const LanguageModel& model_;
  EngineOptions options_;
  std::unique_ptr<PageStore> store_;
  PreparedModel prepared_;
  std::unique_ptr<Batch> batch_;    // of a step
  std::unique_ptr<Batch> guesses_;  // of a pass that guesses
  SharedBeginnings beginnings_;
  std::deque<std::unique_ptr<EngineJob>> waiting_;
  std::vector<std::unique_ptr<EngineJob>> running_;
  DraftTrial trial_;
  Pace pace_;
  ThreadChoice threads_;
  RequestId next_id_ = 1;
  int64_t reserved_bytes_ = 0;
  EngineCounts counts_;
};

}  // namespace loopbank
