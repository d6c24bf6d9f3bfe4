#pragma once
/// The fused version of ops/linear.h: one product for all layers of an input, packed weights, and
/// gradients of the masters in fp32 straight from the product.

#include "loopbank/ops/linear.h"

namespace loopbank::ops {

/// As `linear`, for fp32 and bf16 on the CPU.
at::Tensor fused_linear(const at::Tensor& x, const std::shared_ptr<LinearWeights>& weights);

}  // namespace loopbank::ops
