#pragma once
/// The next token from a row of logits.

#include <ATen/core/Tensor.h>

#include "loopbank/support/random.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

struct SamplingOptions {
  /// Logits are divided by it; 0 takes the most probable token, the first of equals.
  double temperature = 0.8;
  /// Only the smallest set of most probable tokens whose probabilities reach this sum is drawn
  /// from; of equal probabilities the lower id comes first. 1 keeps every token.
  double top_p = 0.95;
};

/// Draws a token from softmax(logits / temperature), cut by top_p and made to sum to 1 again.
///
/// @param logits  [V] on any device; computed in fp64
/// @param random  one draw is taken; none for temperature 0
/// @throws Error kConfig for a temperature under 0 or a top_p outside (0, 1]; kCheckpoint for
///   logits that are not finite
[[nodiscard]] TokenId sample_token(const at::Tensor& logits, const SamplingOptions& options,
                                   RandomStream& random);

}  // namespace loopbank
