#pragma once
/// Cross-entropy of next tokens.

#include <ATen/core/Tensor.h>

namespace loopbank::ops {

/// Mean negative log-likelihood, nats a counted target.
///
///     CE = - sum_i log softmax(logits_i)[target_i] / count
///
/// @param logits   [R, V]  fp32 or bf16
/// @param targets  [R]     int64 in [0, V), or `ignore` where not counted
/// @return scalar fp32; 0 when no target is counted (not NaN)
/// Numerics: softmax and sums in fp32.
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& targets, int64_t ignore);

}  // namespace loopbank::ops
