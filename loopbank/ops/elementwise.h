#pragma once
/// The elementwise equations of the block and the memory: SwiGLU, residual with scale, gate.

#include <ATen/core/Tensor.h>

#include "loopbank/ops/check.h"

namespace loopbank::ops {

/// swiglu, scaled_residual and gate_memory against exact arithmetic.
inline constexpr Tolerance kElementwiseTolerance{.fp32 = 1e-6, .bf16 = kOneRoundingToBf16};

/// silu(gate) * up                                                     (SPEC 1, Feed-forward)
///
/// @param gate, up  [..., F], one dtype
/// @return [..., F] in that dtype; differentiable in both
/// @throws Error kShape when the shapes differ
/// Numerics: in fp32 (fp64 for fp64), one rounding at the end; within kElementwiseTolerance.
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

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

/// g * m with g = sigmoid(logits + bias)                               (SPEC 1, Memory)
struct Gated {
  at::Tensor value;  ///< [..., D] fp32
  at::Tensor gate;   ///< [..., D] fp32, g itself
};

/// @param logits  [..., D]  W_g h, fp32 or bf16
/// @param bias    [D]       fp32; added in fp32, so that g0 = 3 is not rounded
/// @param memory  [..., D]  W m, fp32 or bf16
/// @throws Error kShape when the shapes differ
/// Numerics: in fp32 (fp64 for fp64); within kElementwiseTolerance.
Gated gate_memory(const at::Tensor& logits, const at::Tensor& bias, const at::Tensor& memory);

}  // namespace loopbank::ops
