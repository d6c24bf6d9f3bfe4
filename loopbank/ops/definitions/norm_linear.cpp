#include "loopbank/ops/norm_linear.h"

#include <ATen/core/Tensor.h>

#include "loopbank/ops/check.h"
#include "loopbank/ops/cpu/fused.h"
#include "loopbank/ops/cpu/row_blocks.h"
#include "loopbank/ops/cuda/fused.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/norm.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

bool takes_fp32_pair(const at::Tensor& a, const at::Tensor& norm, const LinearWeights& weights) {
  const auto compute = weights.compute_dtype();
  return takes_fused(a) && a.scalar_type() == at::kFloat && norm.scalar_type() == at::kFloat &&
         (compute == at::kFloat || compute == at::kBFloat16);
}

}  // namespace

NormLinear norm_linear(const at::Tensor& a, const at::Tensor& norm, double eps,
                       const std::shared_ptr<LinearWeights>& weights) {
  expect_rows("norm_linear", "a", a);
  expect_shape("norm_linear", "norm", norm, {weights->in()});
  if (a.size(-1) != weights->in()) {
    fail(ErrorCode::kShape, "norm_linear: expected a [..., {}] for weights {}, got {}.",
         weights->in(), format_shape({weights->out(), weights->in()}), format_shape(a.sizes()));
  }
  const bool takes_fp32 = takes_fp32_pair(a, norm, *weights);
  if (takes_fp32 && weights->prepared() != nullptr) {
    expect_no_graph("norm_linear", a);
    return {cpu::norm_linear_of_inference(a, norm, eps, *weights), a};
  }
  if (takes_fp32 && a.numel() / a.size(-1) >= kFewestRowsToBlock) {
    return cpu::norm_linear(a, norm, eps, weights);
  }
  if constexpr (cuda::kIsBuilt) {
    if (cuda::takes_fp32(a) && cuda::takes_fp32(norm)) {
      const auto [x, again] = cuda::rms_norm_and_input(a, norm, eps, weights->compute_dtype());
      return {linear(x, weights), again};
    }
  }
  return {linear(rms_norm(a, norm, eps, weights->compute_dtype()), weights), a};
}

}  // namespace loopbank::ops
