#include "loopbank/ops/norm.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/rsqrt.h>

#include "loopbank/ops/check.h"
#include "loopbank/ops/cpu/fused.h"
#include "loopbank/ops/cuda/fused.h"
#include "loopbank/ops/kernels.h"

namespace loopbank::ops {
namespace {

bool is_fp32_or_bf16(at::ScalarType type) {
  return type == at::kFloat || type == at::kBFloat16;
}

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::ScalarType out) {
  expect_rows("rms_norm", "x", x);
  expect_shape("rms_norm", "weight", weight, {x.size(-1)});
  if (takes_fused(x) && is_fp32_on_cpu(weight) && is_fp32_or_bf16(out)) {
    return cpu::rms_norm(x, weight, eps, out);
  }
  if constexpr (cuda::kIsBuilt) {
    if (cuda::takes(x) && cuda::takes_fp32(weight) && is_fp32_or_bf16(out)) {
      return cuda::rms_norm(x, weight, eps, out);
    }
  }
  const auto wide = x.to(accumulation_type(x.scalar_type()));         // [..., D]
  const auto mean_square = wide.square().mean(-1, /*keepdim=*/true);  // [..., 1]
  return (wide * at::rsqrt(mean_square + eps) * weight).to(out);      // [..., D]
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps, at::ScalarType out) {
  expect_rows("layer_norm", "x", x);
  expect_shape("layer_norm", "weight", weight, {x.size(-1)});
  expect_shape("layer_norm", "bias", bias, {x.size(-1)});
  if (takes_fused(x) && is_fp32_on_cpu(weight) && is_fp32_on_cpu(bias) && is_fp32_or_bf16(out)) {
    return cpu::layer_norm(x, weight, bias, eps, out);
  }
  if constexpr (cuda::kIsBuilt) {
    if (cuda::takes(x) && cuda::takes_fp32(weight) && cuda::takes_fp32(bias) &&
        is_fp32_or_bf16(out)) {
      return cuda::layer_norm(x, weight, bias, eps, out);
    }
  }
  const auto type = accumulation_type(x.scalar_type());
  return at::layer_norm(x.to(type), {x.size(-1)}, weight.to(type), bias.to(type), eps)
      .to(out);  // [..., D]
}

}  // namespace loopbank::ops
