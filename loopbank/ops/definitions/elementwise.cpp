#include "loopbank/ops/elementwise.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/silu.h>

#include <algorithm>

#include "loopbank/ops/check.h"
#include "loopbank/ops/cpu/fused.h"
#include "loopbank/ops/cuda/fused.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

/// What a fused residual takes; a GPU's scale or one in fp64 goes to the reference.
bool takes_fused_residual(const at::Tensor& state, const at::Tensor& branch,
                          const at::Tensor& scale) {
  return takes_fused(state) && state.scalar_type() == at::kFloat && takes_fused(branch) &&
         (!scale.defined() || (scale.is_cpu() && scale.scalar_type() == at::kFloat));
}

/// Whether both are there, each bias [n] and all as wide as x.
void expect_biases_of(const at::Tensor& x, at::TensorList biases) {
  expect_rows("add_biases", "x", x);
  int64_t width = 0;
  for (const auto& bias : biases) {
    expect_dimensions("add_biases", "bias", bias, 1);
    width += bias.size(0);
  }
  if (x.size(-1) != width) {
    fail(ErrorCode::kShape, "add_biases: expected x [..., {}] for as many biases, got {}.", width,
         format_shape(x.sizes()));
  }
}

}  // namespace

at::Tensor swiglu(const at::Tensor& gate_up) {
  expect_rows("swiglu", "gate_up", gate_up);
  if (gate_up.size(-1) % 2 != 0) {
    fail(ErrorCode::kShape, "swiglu: expected gate and up side by side, an even width, got {}.",
         gate_up.size(-1));
  }
  if (takes_fused(gate_up)) {
    return cpu::swiglu(gate_up);
  }
  if constexpr (cuda::kIsBuilt) {
    if (cuda::takes(gate_up)) {
      return cuda::swiglu(gate_up);
    }
  }
  const auto halves = gate_up.to(accumulation_type(gate_up.scalar_type())).chunk(2, -1);
  return (at::silu(halves[0]) * halves[1]).to(gate_up.scalar_type());  // [..., F]
}

at::Tensor scaled_residual(const at::Tensor& state, const at::Tensor& branch,
                           const at::Tensor& scale) {
  expect_rows("scaled_residual", "state", state);
  expect_shape("scaled_residual", "branch", branch, state.sizes());
  expect_rows("scaled_residual", "branch", branch);
  if (scale.defined() && scale.numel() != 1) {
    fail(ErrorCode::kShape, "scaled_residual: expected scale of one element, got {}.",
         format_shape(scale.sizes()));
  }
  if (takes_fused_residual(state, branch, scale)) {
    return cpu::scaled_residual(state, branch, scale);
  }
  if constexpr (cuda::kIsBuilt) {
    if (cuda::takes_fp32(state) && cuda::takes(branch) &&
        (!scale.defined() || cuda::takes_fp32(scale))) {
      return cuda::scaled_residual(state, branch, scale);
    }
  }
  const auto wide = branch.to(state.scalar_type());
  return scale.defined() ? state + wide * scale : state + wide;  // [..., D]
}

at::Tensor add_biases(const at::Tensor& x, at::TensorList biases) {
  expect_biases_of(x, biases);
  if (takes_fused(x) && std::all_of(biases.begin(), biases.end(), is_fp32_on_cpu)) {
    return cpu::add_biases(x, biases);
  }
  const auto wide = x.to(accumulation_type(x.scalar_type()));
  return (wide + at::cat(biases)).to(x.scalar_type());
}

}  // namespace loopbank::ops
