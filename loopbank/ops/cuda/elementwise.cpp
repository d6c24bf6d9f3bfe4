/// swiglu and scaled_residual (elementwise.h) on a GPU. swiglu saves its input; scaled_residual the
/// scale, and the branch where the scale needs a gradient.

#include "loopbank/ops/cuda/fused.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/DeviceGuard.h>
#include <c10/util/DimVector.h>

#include "loopbank/ops/autograd_function.h"
#include "loopbank/ops/cuda/launches.h"
#include "loopbank/ops/cuda/tensors.h"

namespace loopbank::ops::cuda {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// @param x  [..., 2F], dense
at::Tensor swiglu_on_device(const at::Tensor& x) {
  const c10::DeviceGuard guard(x.device());
  const auto width = x.size(-1) / 2;
  c10::DimVector shape(x.sizes());
  shape.back() = width;
  const auto y = empty_on(x, shape, x.scalar_type());  // [..., F]
  swiglu_forward(
      {.gate_up = values_of(x), .y = values_of(y), .rows = y.numel() / width, .width = width},
      stream_of(x));
  return y;
}

class DeviceSwiglu : public torch::autograd::Function<DeviceSwiglu> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate_up) {
    const auto x = dense(gate_up);  // [..., 2F]
    ctx->save_for_backward({x});
    return swiglu_on_device(x);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto gate_up = ctx->get_saved_variables()[0];  // [..., 2F]
    const c10::DeviceGuard guard(gate_up.device());
    const auto dy = dense(gradients[0]);  // [..., F]
    const auto dgate_up = at::empty_like(gate_up);
    const auto width = dy.size(-1);
    swiglu_backward({.dy = values_of(dy),
                     .gate_up = values_of(gate_up),
                     .dgate_up = values_of(dgate_up),
                     .rows = dy.numel() / width,
                     .width = width},
                    stream_of(dy));
    return {dgate_up};
  }
};

/// @param state, branch  [..., D], dense
/// @param scale          undefined for 1
at::Tensor residual_on_device(const at::Tensor& state, const at::Tensor& branch,
                              const at::Tensor& scale) {
  const c10::DeviceGuard guard(state.device());
  const auto y = empty_on(state, state.sizes(), at::kFloat);  // [..., D]
  residual_forward({.state = floats_of(state),
                    .branch = values_of(branch),
                    .scale = floats_of(scale),
                    .y = floats_of(y)},
                   stream_of(state));
  return y;
}

class DeviceResidual : public torch::autograd::Function<DeviceResidual> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& state, const at::Tensor& branch,
                            const c10::optional<at::Tensor>& scale) {
    const auto dense_branch = dense(branch);  // [..., D]
    ctx->saved_data["branch_dtype"] = branch.scalar_type();
    if (scale) {
      ctx->save_for_backward({*scale, scale->requires_grad() ? dense_branch : at::Tensor()});
    }
    return residual_on_device(dense(state), dense_branch, scale ? *scale : at::Tensor());
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto& dstate = gradients[0];  // of state and result alike
    const auto branch_dtype = ctx->saved_data["branch_dtype"].toScalarType();
    const bool wants_branch = ctx->needs_input_grad(1);
    const auto saved = ctx->get_saved_variables();
    if (saved.empty()) {
      return {dstate, wants_branch ? dstate.to(branch_dtype) : at::Tensor(), at::Tensor()};
    }
    const auto& scale = saved[0];
    const auto& branch = saved[1];
    if (!branch.defined() && !wants_branch) {
      return {dstate, at::Tensor(), at::Tensor()};
    }
    const c10::DeviceGuard guard(dstate.device());
    const auto dy = dense(dstate);  // [..., D]
    const auto rows = dy.numel() / dy.size(-1);
    const auto dbranch =
        wants_branch ? empty_on(dy, dy.sizes(), branch_dtype) : at::Tensor();  // [..., D]
    const auto dscales =
        branch.defined() ? empty_on(dy, {partial_sums(rows)}, at::kFloat) : at::Tensor();
    residual_backward({.dy = floats_of(dy),
                       .branch = values_of(branch),
                       .scale = floats_of(scale),
                       .dbranch = values_of(dbranch),
                       .dscales = floats_of(dscales),
                       .rows = rows},
                      stream_of(dy));
    return {dstate, dbranch,
            branch.defined() ? dscales.sum().reshape(scale.sizes()) : at::Tensor()};
  }
};

}  // namespace

at::Tensor swiglu(const at::Tensor& gate_up) {
  const ProfiledOp op("loopbank::swiglu");
  return at::GradMode::is_enabled() ? DeviceSwiglu::apply(gate_up)
                                    : swiglu_on_device(dense(gate_up));
}

at::Tensor scaled_residual(const at::Tensor& state, const at::Tensor& branch,
                           const at::Tensor& scale) {
  const ProfiledOp op("loopbank::scaled_residual");
  if (!at::GradMode::is_enabled()) {
    return residual_on_device(dense(state), dense(branch), scale);
  }
  return DeviceResidual::apply(state, branch,
                               scale.defined() ? c10::make_optional(scale) : c10::nullopt);
}

}  // namespace loopbank::ops::cuda
