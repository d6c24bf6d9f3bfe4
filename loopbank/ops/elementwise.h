#pragma once
/// The elementwise equations of the block: SwiGLU, residual with scale, biases.

#include <ATen/core/Tensor.h>

#include "loopbank/ops/check.h"

namespace loopbank::ops {

/// swiglu, scaled_residual and gated_sum against exact arithmetic.
inline constexpr Tolerance kElementwiseTolerance{.fp32 = 1e-6, .bf16 = kOneRoundingToBf16};

/// silu(gate) * up                                                     (SPEC 1, Feed-forward)
///
/// @param gate_up  [..., 2F] = [gate | up] side by side, as one matrix product makes them
/// @return [..., F] in that dtype; differentiable
/// @throws Error kShape when the last axis is odd
/// Numerics: in fp32 (fp64 for fp64), one rounding at the end; within kElementwiseTolerance.
at::Tensor swiglu(const at::Tensor& gate_up);

/// h + s * branch                                                      (SPEC 1, Block)
///
/// @param state   [..., D]  fp32, the residual stream; it stays fp32 because a scale near
///                softplus(-7) = 0.0009 would vanish in bf16
/// @param branch  [..., D]  fp32 or bf16
/// @param scale   fp32, one element, or undefined for 1
/// @return [..., D] in the dtype of state; differentiable in all
/// @throws Error kShape when the shapes differ or scale has more than one element
/// Numerics: in the dtype of state; within kElementwiseTolerance.
at::Tensor scaled_residual(const at::Tensor& state, const at::Tensor& branch,
                           const at::Tensor& scale);

/// x + [b_1 | b_2 | ...], the biases of linear layers whose outputs lie side by side.
///
/// @param x       [..., n_1 + n_2 + ...]  fp32, bf16 or fp64
/// @param biases  [n_k] each, fp32
/// @return [..., n_1 + n_2 + ...] in the dtype of x; differentiable in all
/// @throws Error kShape when the widths differ
/// Numerics: in fp32 (fp64 for fp64), one rounding at the end; within kElementwiseTolerance.
at::Tensor add_biases(const at::Tensor& x, at::TensorList biases);

}  // namespace loopbank::ops
