#pragma once
/// What the memory banks add to the residual stream, each through its gate.

#include <ATen/core/Tensor.h>

#include <vector>

#include "loopbank/ops/elementwise.h"

namespace loopbank::ops {

/// h + sum_k g_k * m_k with g_k = sigmoid(logits_k + bias_k)           (SPEC 1, Memory)
///
/// @param state     [..., D]    fp32 (fp64 for fp64), h
/// @param logits    [..., K D]  the banks' W_g h side by side, fp32 or bf16 (or fp64)
/// @param biases    K of [D]    fp32; added in fp32, so that g0 = 3 is not rounded
/// @param memories  K of [..., D]  the banks' W m, in the dtype of logits
/// @return e [..., D] in the dtype of state; differentiable in all
/// @throws Error kShape when there is no bank, the numbers of biases and memories differ, or the
/// shapes do not fit
/// Numerics: in fp32 (fp64 for fp64); within kElementwiseTolerance.
at::Tensor gated_sum(const at::Tensor& state, const at::Tensor& logits, at::TensorList biases,
                     at::TensorList memories);

/// sigmoid(logits + bias), the gate of one bank by itself, for inspection.
///
/// @param logits  [..., D]  fp32 or bf16 (or fp64)
/// @param bias    [D]       fp32
/// @return g [..., D] fp32 (fp64 for fp64); differentiable in both
/// @throws Error kShape when D differs
/// Numerics: as gated_sum.
at::Tensor memory_gate(const at::Tensor& logits, const at::Tensor& bias);

}  // namespace loopbank::ops
