/// rms_norm and layer_norm (norm.h) on a GPU. Saved for backward: x itself and one or two fp32
/// numbers a row.

#include "loopbank/ops/cuda/fused.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/DeviceGuard.h>

#include "loopbank/ops/autograd_function.h"
#include "loopbank/ops/cuda/launches.h"
#include "loopbank/ops/cuda/tensors.h"

namespace loopbank::ops::cuda {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// A norm's result, and what its backward pass reads.
struct DeviceNorm {
  at::Tensor y;        // [..., D]
  at::Tensor x;        // [..., D], dense
  at::Tensor weight;   // [D], dense
  at::Tensor inverse;  // [rows]
  at::Tensor mean;     // [rows], of layer norm
};

/// Layer norm where there is a bias, else RMS norm.
DeviceNorm norm_on_device(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                          double eps, at::ScalarType out) {
  const c10::DeviceGuard guard(x.device());
  const auto width = x.size(-1);
  const auto rows = x.numel() / width;
  const auto dense_bias = bias.defined() ? dense(bias) : bias;  // [D]
  DeviceNorm norm{.y = empty_on(x, x.sizes(), out),
                  .x = dense(x),
                  .weight = dense(weight),
                  .inverse = empty_on(x, {rows}, at::kFloat),
                  .mean = bias.defined() ? empty_on(x, {rows}, at::kFloat) : at::Tensor()};
  norm_forward({.x = values_of(norm.x),
                .weight = floats_of(norm.weight),
                .bias = floats_of(dense_bias),
                .y = values_of(norm.y),
                .mean = floats_of(norm.mean),
                .inverse = floats_of(norm.inverse),
                .rows = rows,
                .width = width,
                .eps = static_cast<float>(eps)},
               stream_of(x));
  return norm;
}

at::Tensor kept_for_backward(AutogradContext* ctx, const DeviceNorm& norm) {
  ctx->save_for_backward({norm.x, norm.weight, norm.inverse, norm.mean});
  return norm.y;
}

/// Of x [..., D], weight [D], bias [D] where there is one.
/// @param more  [..., D], the gradient of x from elsewhere; undefined for none
variable_list norm_gradients(AutogradContext* ctx, const at::Tensor& gradient,
                             const at::Tensor& more = {}) {
  const auto saved = ctx->get_saved_variables();
  const auto& x = saved[0];  // [..., D]
  const auto& mean = saved[3];
  const c10::DeviceGuard guard(x.device());
  const auto width = x.size(-1);
  const auto rows = x.numel() / width;
  const auto dy = dense(gradient);  // [..., D]
  const auto dense_more = more.defined() ? dense(more) : more;
  const auto dx = at::empty_like(x);
  const auto sums = [&] { return empty_on(x, {partial_sums(rows), width}, at::kFloat); };
  const auto dweights = sums();
  const auto dbiases = mean.defined() ? sums() : at::Tensor();
  norm_backward({.dy = values_of(dy),
                 .x = values_of(x),
                 .weight = floats_of(saved[1]),
                 .mean = floats_of(mean),
                 .inverse = floats_of(saved[2]),
                 .more = values_of(dense_more),
                 .dx = values_of(dx),
                 .dweights = floats_of(dweights),
                 .dbiases = floats_of(dbiases),
                 .rows = rows,
                 .width = width},
                stream_of(x));
  return {dx, dweights.sum(0), mean.defined() ? dbiases.sum(0) : at::Tensor()};
}

class DeviceRmsNorm : public torch::autograd::Function<DeviceRmsNorm> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            double eps, at::ScalarType out) {
    return kept_for_backward(ctx, norm_on_device(x, weight, at::Tensor(), eps, out));
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto of_inputs = norm_gradients(ctx, gradients[0]);
    return {of_inputs[0], of_inputs[1], at::Tensor(), at::Tensor()};
  }
};

/// With the input as a second result, so that both gradients of it meet in one pass.
class DeviceNormAndInput : public torch::autograd::Function<DeviceNormAndInput> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                               double eps, at::ScalarType out) {
    return {kept_for_backward(ctx, norm_on_device(x, weight, at::Tensor(), eps, out)), x};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto of_inputs = norm_gradients(ctx, gradients[0], gradients[1]);
    return {of_inputs[0], of_inputs[1], at::Tensor(), at::Tensor()};
  }
};

class DeviceLayerNorm : public torch::autograd::Function<DeviceLayerNorm> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, double eps, at::ScalarType out) {
    return kept_for_backward(ctx, norm_on_device(x, weight, bias, eps, out));
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    auto of_inputs = norm_gradients(ctx, gradients[0]);
    of_inputs.resize(5);
    return of_inputs;
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::ScalarType out) {
  const ProfiledOp op("loopbank::rms_norm");
  return at::GradMode::is_enabled() ? DeviceRmsNorm::apply(x, weight, eps, out)
                                    : norm_on_device(x, weight, at::Tensor(), eps, out).y;
}

NormAndInput rms_norm_and_input(const at::Tensor& x, const at::Tensor& weight, double eps,
                                at::ScalarType out) {
  if (!at::GradMode::is_enabled()) {
    return {rms_norm(x, weight, eps, out), x};
  }
  const ProfiledOp op("loopbank::rms_norm");
  const auto both = DeviceNormAndInput::apply(x, weight, eps, out);
  return {both[0], both[1]};
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps, at::ScalarType out) {
  const ProfiledOp op("loopbank::layer_norm");
  return at::GradMode::is_enabled() ? DeviceLayerNorm::apply(x, weight, bias, eps, out)
                                    : norm_on_device(x, weight, bias, eps, out).y;
}

}  // namespace loopbank::ops::cuda
