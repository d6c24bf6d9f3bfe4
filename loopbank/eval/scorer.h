#pragma once
/// Log-probabilities of continuations, batched.
///
/// How a text parts into tokens: context + continuation are encoded together and the continuation
/// is what lies behind the tokens of the context; where those are no prefix of the whole, the two
/// are encoded apart. An empty context is the end-of-text token.
///
/// What fits: a window of T + 1 tokens, T the model's max_position_embeddings. A longer text is cut
/// from its left, the context first. A continuation of more than T tokens is scored in blocks of
/// T / 2 (at least 1), each at the end of its own window, so that every token is scored once with
/// at least T / 2 tokens before it.
///
/// Windows are scored in order of length, padded on the right to the longest of their batch. What
/// stands behind a token is not seen by it, so a score does not depend on the batch it was in
/// beyond rounding (kBatchTolerance). Only the positions before a scored token pass through the
/// head.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "loopbank/data/tokenizer.h"
#include "loopbank/eval/metrics.h"
#include "loopbank/model/language_model.h"

namespace loopbank {

/// Largest difference of a token's log-probability between two batchings, fp32.
inline constexpr double kBatchTolerance = 1e-4;

struct ScoreOptions {
  int64_t max_loops = 0;                      ///< loop budget; 0: each layer's own N
  int64_t batch_tokens = 4096;                ///< padded tokens of a batch; one window always fits
  at::ScalarType compute_dtype = at::kFloat;  ///< kFloat or kBFloat16
  /// Called behind every batch with the windows scored and all of them.
  std::function<void(int64_t done, int64_t total)> on_progress;
};

/// A continuation to score behind its context.
struct ScoreRequest {
  std::string_view context;
  std::string_view continuation;
};

/// Tokens of some requests, cut and parted for a model; good for several loop budgets.
class EncodedRequests {
 public:
  /// @param max_length  T of the model, tokens
  /// @throws Error kData for an empty continuation
  EncodedRequests(const Tokenizer& tokenizer, const std::vector<ScoreRequest>& requests,
                  int64_t max_length);

  /// A row of a batch: the last `num_scored` tokens are scored.
  struct Window {
    int64_t request = 0;
    std::vector<int64_t> tokens;  ///< at most T + 1
    int64_t num_scored = 0;
    [[nodiscard]] int64_t num_inputs() const { return static_cast<int64_t>(tokens.size()) - 1; }
  };
  /// Longest first.
  [[nodiscard]] const std::vector<Window>& windows() const { return windows_; }
  /// A score for each request with its lengths filled in and nothing scored yet.
  [[nodiscard]] const std::vector<ContinuationScore>& blank_scores() const { return blank_; }

 private:
  std::vector<Window> windows_;
  std::vector<ContinuationScore> blank_;
};

/// One score a request, in their order; `unconditioned` is left at 0.
/// Numerics: softmax in fp32, sums in fp64.
/// @throws Error kCheckpoint when a log-probability is not finite
[[nodiscard]] std::vector<ContinuationScore> score_requests(const LanguageModel& model,
                                                            const EncodedRequests& requests,
                                                            const ScoreOptions& options);

}  // namespace loopbank
