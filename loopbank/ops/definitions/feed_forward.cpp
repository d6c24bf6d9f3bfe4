#include "loopbank/ops/feed_forward.h"

#include <ATen/core/Tensor.h>

#include "loopbank/ops/check.h"
#include "loopbank/ops/cpu/fused.h"
#include "loopbank/ops/cpu/row_blocks.h"
#include "loopbank/ops/cuda/fused.h"
#include "loopbank/ops/elementwise.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/norm.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

void check_inputs(const at::Tensor& a, const FeedForwardWeights& weights, const at::Tensor& scale) {
  const auto& outs = weights.gate_up->outs();
  const bool fits = outs.size() == 2 && outs[0] == outs[1] && weights.down->in() == outs[0] &&
                    weights.down->out() == weights.gate_up->in();
  if (!fits) {
    fail(ErrorCode::kShape,
         "feed_forward: expected gate and up [F, D] and down [D, F], got {} outputs of {} and down "
         "{}.",
         weights.gate_up->out(), weights.gate_up->in(),
         format_shape({weights.down->out(), weights.down->in()}));
  }
  expect_rows("feed_forward", "a", a);
  expect_shape("feed_forward", "norm", weights.norm, {weights.gate_up->in()});
  if (a.size(-1) != weights.gate_up->in()) {
    fail(ErrorCode::kShape, "feed_forward: expected a [..., {}], got {}.", weights.gate_up->in(),
         format_shape(a.sizes()));
  }
  if (scale.defined() && scale.numel() != 1) {
    fail(ErrorCode::kShape, "feed_forward: expected scale of one element, got {}.",
         format_shape(scale.sizes()));
  }
}

bool takes_fp32(const at::Tensor& a, const FeedForwardWeights& weights, const at::Tensor& scale) {
  const auto is_fp32 = [](const at::Tensor& x) { return x.scalar_type() == at::kFloat; };
  const auto compute = weights.gate_up->compute_dtype();
  return takes_fused(a) && is_fp32(a) && is_fp32(weights.norm) &&
         (!scale.defined() || (is_fp32(scale) && scale.is_cpu())) &&
         (compute == at::kFloat || compute == at::kBFloat16);
}

bool takes_fused_branch(const at::Tensor& a, const FeedForwardWeights& weights,
                        const at::Tensor& scale) {
  return takes_fp32(a, weights, scale) && weights.gate_up->prepared() == nullptr &&
         weights.down->prepared() == nullptr && a.numel() / a.size(-1) >= kFewestRowsToBlock;
}

/// Steps 2 to 5 of x = rms_norm(a).
at::Tensor of_normed(const at::Tensor& a, const at::Tensor& x, const FeedForwardWeights& weights,
                     const at::Tensor& scale) {
  const auto inner = swiglu(linear(x, weights.gate_up));          // [..., F]
  return scaled_residual(a, linear(inner, weights.down), scale);  // [..., D]
}

}  // namespace

at::Tensor feed_forward(const at::Tensor& a, const FeedForwardWeights& weights,
                        const at::Tensor& scale) {
  check_inputs(a, weights, scale);
  if (weights.gate_up->prepared() != nullptr && weights.down->prepared() != nullptr &&
      takes_fp32(a, weights, scale)) {
    expect_no_graph("feed_forward", a);
    return cpu::feed_forward_of_inference(a, weights, scale);
  }
  if (takes_fused_branch(a, weights, scale)) {
    return cpu::feed_forward(a, weights, scale);
  }
  const auto compute = weights.gate_up->compute_dtype();
  if constexpr (cuda::kIsBuilt) {
    if (cuda::takes_fp32(a) && cuda::takes_fp32(weights.norm)) {
      const auto [x, again] = cuda::rms_norm_and_input(a, weights.norm, weights.eps, compute);
      return of_normed(again, x, weights, scale);
    }
  }
  return of_normed(a, rms_norm(a, weights.norm, weights.eps, compute), weights, scale);  // [..., D]
}

}  // namespace loopbank::ops
