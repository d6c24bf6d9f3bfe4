#pragma once
/// The most probable tokens of a row, found without sorting the row.
///
/// All tokens have one order: the larger logit first, of equal logits the lower id. top_k, top_p and
/// min_p each keep a beginning of it, and so do all of them together.

#include <cstddef>
#include <span>
#include <vector>

#include "loopbank/infer/sampling_options.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

struct Candidate {
  double logit = 0.0;
  TokenId token = 0;
};

/// Whether a stands before b in the order.
[[nodiscard]] inline bool comes_before(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

/// The first `count` tokens of the order (all of them where there are fewer), in no order.
template <typename Logit>
[[nodiscard]] std::vector<Candidate> most_probable(std::span<const Logit> logits, size_t count);

/// What is known of a row of logits and their weights.
struct RowScale {
  double largest = 0.0;  ///< logit
  double total = 0.0;    ///< sum of the weights
};

/// The tokens that min_p, top_k and top_p leave, in the order of their ids.
///
/// As in vLLM, min_p keeps weights of at least min_p, top_k the first k of these, top_p the fewest
/// first ones of what is then left whose weights sum to at least top_p times the sum of all that is
/// left. At least one token stays.
///
/// @param logits   [V], after every change and before the temperature, which keeps their order
/// @param weights  [V], exp((logit - largest) / temperature), at most 1
[[nodiscard]] std::vector<TokenId> truncate(std::span<const double> logits,
                                            std::span<const double> weights, const RowScale& scale,
                                            const SamplingOptions& options);

}  // namespace loopbank
