#include "loopbank/ops/norm.h"

#include <ATen/ATen.h>

#include "loopbank/ops/check.h"

namespace loopbank::ops {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::ScalarType out) {
  expect_shape("rms_norm", "weight", weight, {x.size(-1)});
  const auto wide = x.to(accumulation_type(x.scalar_type()));         // [..., D]
  const auto mean_square = wide.square().mean(-1, /*keepdim=*/true);  // [..., 1]
  return (wide * at::rsqrt(mean_square + eps) * weight).to(out);      // [..., D]
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps, at::ScalarType out) {
  expect_shape("layer_norm", "weight", weight, {x.size(-1)});
  expect_shape("layer_norm", "bias", bias, {x.size(-1)});
  const auto type = accumulation_type(x.scalar_type());
  return at::layer_norm(x.to(type), {x.size(-1)}, weight.to(type), bias.to(type), eps)
      .to(out);  // [..., D]
}

}  // namespace loopbank::ops
