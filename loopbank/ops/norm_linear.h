#pragma once
/// A norm and the linear layers that read it as one op: the normed rows are never all in memory,
/// neither between the two nor for the backward pass, which computes them again.

#include <ATen/core/Tensor.h>

#include <memory>

#include "loopbank/ops/check.h"
#include "loopbank/ops/linear.h"

namespace loopbank::ops {

/// The fused version against the reference, relative to the largest value.
inline constexpr Tolerance kNormLinearTolerance{.fp32 = 1e-5, .bf16 = 0.02};

struct NormLinear {
  at::Tensor y;  ///< [..., out_1 + out_2 + ...] in the compute dtype
  at::Tensor a;  ///< the input again, for its other readers: both gradients meet in this op
};

///     y = [x W_1^T | x W_2^T | ...],  x = rms_norm(a)                      (SPEC 1, Block)
///
/// @param a        [..., D]  fp32 or fp64
/// @param norm     [D]       fp32
/// @param weights  of layers with D inputs
/// @return y and a; differentiable in a, norm and every master
/// @throws Error kShape when D differs
/// Numerics: those of rms_norm and linear; within kNormLinearTolerance.
NormLinear norm_linear(const at::Tensor& a, const at::Tensor& norm, double eps,
                       const std::shared_ptr<LinearWeights>& weights);

}  // namespace loopbank::ops
