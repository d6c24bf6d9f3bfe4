/// rms_norm and layer_norm (norm.h) on the CPU: a pass over memory forward, a pass backward.
/// Saved for backward: x itself and one or two fp32 numbers a row.

#include "loopbank/ops/cpu/fused.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>

#include "loopbank/ops/autograd_function.h"
#include "loopbank/ops/cpu/elementwise_rows.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/simd/norm_kernels.h"
#include "loopbank/ops/workspace.h"

namespace loopbank::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// A norm's result, and what its backward pass reads.
struct NormResult {
  at::Tensor y;        // [..., D]
  at::Tensor x;        // [..., D], dense
  at::Tensor weight;   // [D], dense
  at::Tensor inverse;  // [rows]
  at::Tensor mean;     // [rows], of layer norm
};

/// Layer norm where there is a bias, else RMS norm.
NormResult norm_all_rows(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                         double eps, at::ScalarType out) {
  const auto width = x.size(-1);
  const auto rows = x.numel() / width;
  const auto dense_x = dense(x);                                // [..., D]
  const auto dense_weight = dense(weight);                      // [D]
  const auto dense_bias = bias.defined() ? dense(bias) : bias;  // [D]
  const auto y = new_tensor(x.sizes(), out);
  const auto mean = bias.defined() ? new_tensor({rows}, at::kFloat) : at::Tensor();
  const auto inverse = new_tensor({rows}, at::kFloat);
  const NormForward norm{.x = const_values(dense_x),
                         .weight = const_floats(dense_weight),
                         .bias = const_floats(dense_bias),
                         .y = values(y),
                         .mean = floats(mean),
                         .inverse = floats(inverse),
                         .width = static_cast<size_t>(width),
                         .eps = static_cast<float>(eps)};
  const auto norm_rows = bias.defined() ? layer_norm_rows : rms_norm_rows;
  for_row_ranges(rows, width, [&](size_t first, size_t last) { norm_rows(norm, first, last); });
  return {y, dense_x, dense_weight, inverse, mean};
}

at::Tensor kept_for_backward(AutogradContext* ctx, const NormResult& norm) {
  ctx->save_for_backward({norm.x, norm.weight, norm.inverse, norm.mean});
  return norm.y;
}

struct NormGradients {
  at::Tensor dx;    // [..., D]
  at::Tensor sums;  // dweight [D], and behind it dbias [D] of layer norm
};

NormGradients backward_rows(AutogradContext* ctx, const at::Tensor& gradient) {
  const auto saved = ctx->get_saved_variables();
  const auto& x = saved[0];  // [..., D]
  const auto& mean = saved[3];
  const auto width = x.size(-1);
  const auto dy = dense(gradient);  // [..., D]
  const auto dx = at::empty_like(x);
  const NormBackward norm{.dy = const_values(dy),
                          .x = const_values(x),
                          .weight = const_floats(saved[1]),
                          .mean = const_floats(mean),
                          .inverse = const_floats(saved[2]),
                          .dx = values(dx),
                          .width = static_cast<size_t>(width)};
  const auto num_sums = mean.defined() ? 2 * width : width;
  const auto add_rows = [&](size_t first, size_t last, float* sums) {
    if (mean.defined()) {
      layer_norm_backward_rows(norm, first, last, sums, sums + width);
    } else {
      rms_norm_backward_rows(norm, first, last, sums);
    }
  };
  return {dx, sums_over_rows(x.numel() / width, width, num_sums, add_rows)};
}

class RmsNorm : public torch::autograd::Function<RmsNorm> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            double eps, at::ScalarType out) {
    return kept_for_backward(ctx, norm_all_rows(x, weight, at::Tensor(), eps, out));
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto [dx, dweight] = backward_rows(ctx, gradients[0]);
    return {dx, dweight, at::Tensor(), at::Tensor()};
  }
};

class LayerNorm : public torch::autograd::Function<LayerNorm> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, double eps, at::ScalarType out) {
    return kept_for_backward(ctx, norm_all_rows(x, weight, bias, eps, out));
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto [dx, sums] = backward_rows(ctx, gradients[0]);
    const auto width = sums.size(0) / 2;
    return {dx, sums.narrow(0, 0, width), sums.narrow(0, width, width), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor cpu::rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                         at::ScalarType out) {
  const ProfiledOp op("loopbank::rms_norm");
  return at::GradMode::is_enabled() ? RmsNorm::apply(x, weight, eps, out)
                                    : norm_all_rows(x, weight, at::Tensor(), eps, out).y;
}

at::Tensor cpu::layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                           double eps, at::ScalarType out) {
  const ProfiledOp op("loopbank::layer_norm");
  return at::GradMode::is_enabled() ? LayerNorm::apply(x, weight, bias, eps, out)
                                    : norm_all_rows(x, weight, bias, eps, out).y;
}

}  // namespace loopbank::ops
