#pragma once
/// The head of a language model and its loss as one op: logits [R, V] never have memory of their
/// own.

#include <ATen/core/Tensor.h>

#include "loopbank/ops/check.h"

namespace loopbank::ops {

/// linear_cross_entropy and its gradients against exact arithmetic on the same inputs, for rows
/// and weights whose logits are of order 1. In bf16 each logit is rounded, as that of a linear
/// layer, and each element of its gradient once more.
inline constexpr Tolerance kLinearCrossEntropyTolerance{.fp32 = 1e-5, .bf16 = 0.01};

/// Mean negative log-likelihood of linear logits, nats per counted target.
///
///     CE = - sum_i log softmax(W s_i)[target_i] / count
///
/// @param states   [R, D]  fp32, bf16 or fp64: the dtype that the logits are computed in
/// @param weight   [V, D]  fp32, or the dtype of states
/// @param targets  [R]     int64 in [0, V), or `ignore` where not counted
/// @return scalar fp32 (fp64 for fp64); 0 when no target is counted (not NaN); differentiable in
///     states and weight
/// @throws Error kShape when D or R differ, kDtype when targets are not int64, kData when one is
///   out of range (not checked here on a GPU, where LibTorch's kernels do)
/// Numerics: logits summed in fp32 and rounded to the dtype of states, softmax and sums in fp32;
/// the gradient of an fp32 weight is not rounded to bf16. Within kLinearCrossEntropyTolerance.
///
/// The fused version computes the gradients with the loss and keeps them instead of the logits: it
/// is differentiable once, by one backward pass. The logits use the memory that the gradient of the
/// weight will take, a few hundred rows at a time if that is too small.
/// @throws Error kConfig in the second backward pass through one result
at::Tensor linear_cross_entropy(const at::Tensor& states, const at::Tensor& weight,
                                const at::Tensor& targets, int64_t ignore);

}  // namespace loopbank::ops
