#pragma once
/// The loss of the head and its gradients in one go over the rows, on the CPU.

#include <ATen/core/Tensor.h>

namespace loopbank::ops {

/// As linear_cross_entropy, of inputs that it has checked.
at::Tensor fused_linear_cross_entropy(const at::Tensor& states, const at::Tensor& weight,
                                      const at::Tensor& targets, int64_t ignore);

}  // namespace loopbank::ops
