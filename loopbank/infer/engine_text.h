#pragma once
/// What the engine knows of a request and of each text that it writes.

#include <cstdint>
#include <memory>
#include <vector>

#include "loopbank/infer/cached_text.h"
#include "loopbank/infer/request.h"
#include "loopbank/infer/shared_beginnings.h"

namespace loopbank {

struct EngineText {
  EngineText(EngineJob& its_job, int64_t which, CachedText empty)
      : job(&its_job), completion(which), cache(std::move(empty)) {}

  EngineJob* job;
  int64_t completion;
  std::vector<TokenId> tokens;  ///< the prompt's and those that were generated
  CachedText cache;             ///< of those that were read
  std::vector<double> loops;    ///< of each token that was read, mean over layers
  std::vector<TokenId> draft;   ///< guesses behind the tokens, for the next pass
  /// Of the token whose logits are read, where the request asks for it.
  std::shared_ptr<const TokenInside> inside;
  std::unique_ptr<Sampler> sampler;
  SharedBeginnings::Key beginning = 0;  ///< of the tokens that are shared
  int64_t shared = 0;                   ///< tokens that it stands for
  bool waits = false;                   ///< for the first completion to read the prompt
  bool finished = false;
  size_t loops_summed = 0;  ///< the first of `loops`, which do not change any more
  double sum_of_loops = 0.0;

  /// Of the tokens read so far, guesses left out.
  [[nodiscard]] double mean_loops();
  /// The token at a position, or the guess.
  [[nodiscard]] TokenId at(int64_t position) const;
};

struct EngineJob {
  RequestId id = 0;
  Request request;
  int64_t bytes = 0;  ///< reserved for its keys and values
  bool shares = false;
  TokenExit exit;
  std::vector<std::unique_ptr<EngineText>> texts;

  [[nodiscard]] int64_t prompt_size() const { return static_cast<int64_t>(request.prompt.size()); }
  /// Of the prompt's tokens, those that are read.
  [[nodiscard]] int64_t read_size() const {
    return request.max_tokens == 0 ? prompt_size() - 1 : prompt_size();
  }
  /// Slots of a page while the prompt is read.
  [[nodiscard]] PageSlots slots_of_prompt() const;
  /// And afterwards.
  [[nodiscard]] PageSlots slots() const;
  /// The policy that a token stands under.
  [[nodiscard]] const KeyValuePolicy& policy_at(int64_t position) const;
  /// Guesses that a text may be given for the next pass.
  [[nodiscard]] int64_t most_guesses(const EngineText& text, int64_t max_length) const;
  /// Whether tokens of the prompt may pass together.
  [[nodiscard]] bool reads_in_chunks() const;
};

/// Bytes of keys and values that a request may hold at the same time.
[[nodiscard]] int64_t most_bytes(const Request& request, const PageStore& store,
                                 int64_t max_length);

/// @throws Error kConfig, beginning with `where`, for a request that could never run
void check_request(const Request& request, const ModelConfig& config,
                   std::string_view where = "request");

}  // namespace loopbank
