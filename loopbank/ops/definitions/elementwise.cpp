#include "loopbank/ops/elementwise.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/silu.h>

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

}  // namespace loopbank::ops
