#pragma once
/// Log-probabilities of continuations, batched.
///
/// How a text is split into tokens: white space at the end of a context is moved to the beginning of
/// its continuation, as lm-evaluation-harness does. Then both are encoded together, and the
/// continuation is what follows the context's tokens; where those are not a prefix of the whole,
/// the two are encoded separately. A tokenizer that begins every text with tokens begins these so; with
/// another one a context of nothing else becomes its BOS, or without one its end-of-text token. What
/// is moved is scored, but counts neither as characters nor as bytes of the continuation. Contexts
/// of OLMES never end in white space: its requests are scored as they were recorded.
///
/// What fits: a window of T + 1 tokens, T the model's max_position_embeddings. A longer text is cut
/// from the left, the context first. A continuation of more than T tokens is scored in blocks of T
/// / 2 (at least 1), each at the end of its own window, so that every token is scored once with at
/// least T / 2 tokens before it.
///
/// The windows are requests of an engine (infer/engine.h): shared prefixes are computed once, a score
/// depends neither on its batch nor on what was shared, bit for bit, and only the positions before a
/// scored token pass through the head.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "loopbank/eval/metrics.h"
#include "loopbank/infer/request.h"
#include "loopbank/model/language_model.h"
#include "loopbank/ranks/ranks.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

/// Tokens of which the last `num_scored` are scored, each given those before it.
struct Window {
  int64_t request = 0;
  std::vector<int64_t> tokens;
  int64_t num_scored = 0;
  /// Tokens that pass through the model: the last one is only scored.
  [[nodiscard]] int64_t num_inputs() const { return static_cast<int64_t>(tokens.size()) - 1; }
};

struct ScoreOptions {
  InferenceOptions inference{};               ///< exit rule, policy and loop budget
  int64_t batch_tokens = 4096;                ///< tokens of a pass
  bool share_prefixes = true;                 ///< false: every window computed whole
  at::ScalarType compute_dtype = at::kFloat;  ///< kFloat or kBFloat16
  /// Called after every batch with the number of windows scored so far and their total, of this rank.
  std::function<void(int64_t done, int64_t total)> on_progress = {};
  Ranks ranks{};  ///< each scores a share of the requests
};

/// A continuation to score after its context.
struct ScoreRequest {
  std::string_view context;
  std::string_view continuation;
};

/// Requests as tokens, cut to fit a model; one encoding serves several loop budgets.
class EncodedRequests {
 public:
  /// @param max_length  T of the model, tokens
  /// @throws Error kData for an empty continuation
  EncodedRequests(const Tokenizer& tokenizer, const std::vector<ScoreRequest>& requests,
                  int64_t max_length);

  /// At most T + 1 tokens each, in the order of the requests.
  [[nodiscard]] const std::vector<Window>& windows() const { return windows_; }
  /// A score for each request with its lengths filled in and nothing scored yet.
  [[nodiscard]] const std::vector<ContinuationScore>& blank_scores() const { return blank_; }

 private:
  std::vector<Window> windows_;
  std::vector<ContinuationScore> blank_;
};

/// What scoring took.
struct ScoringCost {
  int64_t tokens = 0;           ///< of all windows, contexts included: what the scores stand for
  int64_t computed_tokens = 0;  ///< that passed through the layers
  int64_t head_rows = 0;        ///< that passed through the head
  double seconds = 0.0;

  ScoringCost& operator+=(const ScoringCost& other);
};

struct ScoredRequests {
  /// One per request, in order; `unconditioned` is not filled in.
  std::vector<ContinuationScore> scores;
  ScoringCost cost;
};

/// Of several ranks each scores a run of requests, all of nearly as many tokens, and all return the
/// scores of all: the same bits as those of one rank. Tokens in `cost` are those of all ranks.
/// Numerics: softmax in fp32, sums in fp64.
/// @throws Error kCheckpoint when a log-probability is not finite
[[nodiscard]] ScoredRequests score_requests(const LanguageModel& model,
                                            const EncodedRequests& requests,
                                            const ScoreOptions& options);

}  // namespace loopbank
