#include "loopbank/ops/feed_forward.h"

#include <ATen/core/Tensor.h>

#include "loopbank/ops/check.h"
#include "loopbank/ops/cpu/fused.h"
#include "loopbank/ops/cpu/row_blocks.h"
#include "loopbank/ops/elementwise.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/norm.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

void check_inputs(const at::Tensor& a, const FeedForwardWeights& weights, const at::Tensor& scale) {
  const auto& layers = weights.gate_up->masters();
  const bool fits = layers.size() == 2 && layers[0].sizes() == layers[1].sizes() &&
                    weights.down->in() == layers[0].size(0) &&
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

bool takes_fused_branch(const at::Tensor& a, const FeedForwardWeights& weights,
                        const at::Tensor& scale) {
  const auto is_fp32 = [](const at::Tensor& x) { return x.scalar_type() == at::kFloat; };
  const auto compute = weights.gate_up->compute_dtype();
  return takes_fused(a) && is_fp32(a) && is_fp32(weights.norm) &&
         (!scale.defined() || (is_fp32(scale) && scale.is_cpu())) &&
         (compute == at::kFloat || compute == at::kBFloat16) &&
         a.numel() / a.size(-1) >= kFewestRowsToBlock;
}

}  // namespace

at::Tensor feed_forward(const at::Tensor& a, const FeedForwardWeights& weights,
                        const at::Tensor& scale) {
  check_inputs(a, weights, scale);
  if (takes_fused_branch(a, weights, scale)) {
    return cpu::feed_forward(a, weights, scale);
  }
  const auto x = rms_norm(a, weights.norm, weights.eps, weights.gate_up->compute_dtype());
  const auto inner = swiglu(linear(x, weights.gate_up));          // [..., F]
  return scaled_residual(a, linear(inner, weights.down), scale);  // [..., D]
}

}  // namespace loopbank::ops
