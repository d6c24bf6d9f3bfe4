#pragma once
/// rms_norm and layer_norm (norm.h) on the CPU: a pass over memory forward, a pass backward.
/// Saved for backward: x itself and one or two fp32 numbers a row.

#include <ATen/core/Tensor.h>

namespace loopbank::ops {

/// @param x       [..., D]  fp32 or bf16
/// @param weight  [D]       fp32
/// @param out     fp32 or bf16
at::Tensor fused_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                          at::ScalarType out);

/// @param bias  [D]  fp32; the others as above
at::Tensor fused_layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                            double eps, at::ScalarType out);

}  // namespace loopbank::ops
