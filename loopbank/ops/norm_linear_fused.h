#pragma once
/// The fused version of ops/norm_linear.h, for fp32 states on the CPU.

#include "loopbank/ops/norm_linear.h"

namespace loopbank::ops {

/// As `norm_linear`, of inputs that it has checked.
NormLinear fused_norm_linear(const at::Tensor& a, const at::Tensor& norm, double eps,
                             const std::shared_ptr<LinearWeights>& weights);

}  // namespace loopbank::ops
