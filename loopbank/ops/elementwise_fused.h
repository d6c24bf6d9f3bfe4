#pragma once
/// swiglu and scaled_residual (elementwise.h) on the CPU: a pass over memory forward, a pass
/// backward. swiglu saves its input; scaled_residual the scale, and the branch where the scale
/// needs a gradient.

#include <ATen/core/Tensor.h>

namespace loopbank::ops {

/// @param gate_up  [..., 2F]  fp32 or bf16
at::Tensor fused_swiglu(const at::Tensor& gate_up);

/// @param state   [..., D]  fp32
/// @param branch  [..., D]  fp32 or bf16
/// @param scale   fp32, one element, or undefined
at::Tensor fused_scaled_residual(const at::Tensor& state, const at::Tensor& branch,
                                 const at::Tensor& scale);

}  // namespace loopbank::ops
