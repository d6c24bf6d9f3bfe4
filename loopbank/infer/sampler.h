#pragma once
/// The next token from a row of logits.

#include <ATen/core/Tensor.h>

#include "loopbank/support/random.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

struct SamplingOptions {
  /// Divides the logits; 0 takes the most probable token, the first of equals.
  double temperature = 0.8;
  /// Draws only from the smallest set of most probable tokens whose probabilities sum to at least
  /// this; of equal probabilities the lower id comes first. 1 keeps every token.
  double top_p = 0.95;
};

/// Draws a token from softmax(logits / temperature), truncated by top_p and renormalized.
///
/// @param logits  [V] on any device; computed in fp64
/// @param random  one draw is used; none at temperature 0
/// @throws Error kConfig for a temperature under 0 or a top_p outside (0, 1]; kCheckpoint for
///   logits that are not finite
[[nodiscard]] TokenId sample_token(const at::Tensor& logits, const SamplingOptions& options,
                                   RandomStream& random);

}  // namespace loopbank
