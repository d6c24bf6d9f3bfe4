#pragma once
/// Cross-entropy of next tokens.

#include <ATen/core/Tensor.h>

#include "loopbank/ops/check.h"

namespace loopbank::ops {

/// cross_entropy, always fp32 or fp64, against exact arithmetic.
inline constexpr Tolerance kCrossEntropyTolerance{.fp32 = 2e-6, .bf16 = 2e-6};

/// Mean negative log-likelihood, nats per counted target.
///
///     CE = - sum_i log softmax(logits_i)[target_i] / count
///
/// @param logits   [R, V]  fp32 or bf16
/// @param targets  [R]     int64 in [0, V), or `ignore` where not counted
/// @return scalar fp32 (fp64 for fp64); 0 when no target is counted (not NaN)
/// @throws Error kShape when R differs
/// Numerics: softmax and sums in fp32; within kCrossEntropyTolerance.
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& targets, int64_t ignore);

}  // namespace loopbank::ops
