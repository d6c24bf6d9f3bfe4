#pragma once
/// The feed-forward branch of a block as one op: norm, gate and up, SwiGLU, down, scaled residual.
///
/// Why one op: each of its five steps alone writes a result for the next to read, far larger than
/// any cache. The fused version takes a few hundred rows at a time through all five and keeps only
/// its input and gate and up for the backward pass.

#include <ATen/core/Tensor.h>

#include <memory>

#include "loopbank/ops/check.h"
#include "loopbank/ops/linear.h"

namespace loopbank::ops {

/// The fused version against the reference, relative to the largest value. In bf16 both round after
/// each of the five steps, but the gradients at different places.
inline constexpr Tolerance kFeedForwardTolerance{.fp32 = 1e-5, .bf16 = 0.02};

struct FeedForwardWeights {
  at::Tensor norm;                         ///< [D] fp32
  double eps = 0.0;                        ///< of the norm
  std::shared_ptr<LinearWeights> gate_up;  ///< gate and up, [F, D] each
  std::shared_ptr<LinearWeights> down;     ///< [D, F]
};

///     y = a + s * down(silu(gate(x)) * up(x)),  x = rms_norm(a)           (SPEC 1, Block)
///
/// @param a        [..., D]  fp32 or fp64
/// @param weights  gate_up and down of one compute dtype
/// @param scale    s, a scalar like a; undefined for 1
/// @return y [..., D], the dtype of a; differentiable in a, scale and every weight
/// @throws Error kShape when D or F differ
/// Numerics: products in the compute dtype; norm, SwiGLU and the sum in fp32; within
/// kFeedForwardTolerance.
at::Tensor feed_forward(const at::Tensor& a, const FeedForwardWeights& weights,
                        const at::Tensor& scale);

}  // namespace loopbank::ops
