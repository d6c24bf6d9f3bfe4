#include "loopbank/ops/elementwise.h"

#include <ATen/ATen.h>

#include "loopbank/ops/check.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  expect_shape("swiglu", "up", up, gate.sizes());
  const auto wide = accumulation_type(gate.scalar_type());
  return (at::silu(gate.to(wide)) * up.to(wide)).to(gate.scalar_type());  // [..., F]
}

at::Tensor scaled_residual(const at::Tensor& state, const at::Tensor& branch,
                           const at::Tensor& scale) {
  expect_shape("scaled_residual", "branch", branch, state.sizes());
  if (scale.defined() && scale.numel() != 1) {
    fail(ErrorCode::kShape, "scaled_residual: expected scale of one element, got {}.",
         format_shape(scale.sizes()));
  }
  const auto wide = branch.to(state.scalar_type());
  return scale.defined() ? state + wide * scale : state + wide;  // [..., D]
}

Gated gate_memory(const at::Tensor& logits, const at::Tensor& bias, const at::Tensor& memory) {
  expect_shape("gate_memory", "memory", memory, logits.sizes());
  expect_shape("gate_memory", "bias", bias, {logits.size(-1)});
  const auto wide = accumulation_type(logits.scalar_type());
  auto gate = at::sigmoid(logits.to(wide) + bias);  // [..., D]
  return {gate * memory.to(wide), gate};
}

}  // namespace loopbank::ops
