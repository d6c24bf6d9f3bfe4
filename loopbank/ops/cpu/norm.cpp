/// rms_norm and layer_norm (norm.h) on the CPU: a pass over memory forward, a pass backward.
/// Saved for backward: x itself and one or two fp32 numbers a row.

#include "loopbank/ops/cpu/fused.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "loopbank/ops/autograd_function.h"
#include "loopbank/ops/cpu/elementwise_rows.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/simd/norm_kernels.h"

namespace loopbank::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class RmsNorm : public torch::autograd::Function<RmsNorm> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            double eps, at::ScalarType out) {
    const auto width = x.size(-1);
    const auto rows = x.numel() / width;
    const auto dense_x = dense(x);            // [..., D]
    const auto dense_weight = dense(weight);  // [D]
    const auto y = at::empty(x.sizes(), x.options().dtype(out));
    const auto inverse = at::empty({rows}, at::kFloat);
    const NormForward norm{.x = const_values(dense_x),
                           .weight = const_floats(dense_weight),
                           .y = values(y),
                           .inverse = floats(inverse),
                           .width = static_cast<size_t>(width),
                           .eps = static_cast<float>(eps)};
    for_row_ranges(rows, width,
                   [&](size_t first, size_t last) { rms_norm_rows(norm, first, last); });
    ctx->save_for_backward({dense_x, dense_weight, inverse});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto& x = saved[0];  // [..., D]
    const auto width = x.size(-1);
    const auto dy = dense(gradients[0]);  // [..., D]
    const auto dx = at::empty_like(x);
    const NormBackward norm{.dy = const_values(dy),
                            .x = const_values(x),
                            .weight = const_floats(saved[1]),
                            .inverse = const_floats(saved[2]),
                            .dx = values(dx),
                            .width = static_cast<size_t>(width)};
    const auto dweight = sums_over_rows(x.numel() / width, width, width,
                                        [&](size_t first, size_t last, float* sums) {
                                          rms_norm_backward_rows(norm, first, last, sums);
                                        });
    return {dx, dweight, at::Tensor(), at::Tensor()};
  }
};

class LayerNorm : public torch::autograd::Function<LayerNorm> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, double eps, at::ScalarType out) {
    const auto width = x.size(-1);
    const auto rows = x.numel() / width;
    const auto dense_x = dense(x);            // [..., D]
    const auto dense_weight = dense(weight);  // [D]
    const auto dense_bias = dense(bias);      // [D]
    const auto y = at::empty(x.sizes(), x.options().dtype(out));
    const auto mean = at::empty({rows}, at::kFloat);
    const auto inverse = at::empty({rows}, at::kFloat);
    const NormForward norm{.x = const_values(dense_x),
                           .weight = const_floats(dense_weight),
                           .bias = const_floats(dense_bias),
                           .y = values(y),
                           .mean = floats(mean),
                           .inverse = floats(inverse),
                           .width = static_cast<size_t>(width),
                           .eps = static_cast<float>(eps)};
    for_row_ranges(rows, width,
                   [&](size_t first, size_t last) { layer_norm_rows(norm, first, last); });
    ctx->save_for_backward({dense_x, dense_weight, mean, inverse});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto& x = saved[0];  // [..., D]
    const auto width = x.size(-1);
    const auto dy = dense(gradients[0]);  // [..., D]
    const auto dx = at::empty_like(x);
    const NormBackward norm{.dy = const_values(dy),
                            .x = const_values(x),
                            .weight = const_floats(saved[1]),
                            .mean = const_floats(saved[2]),
                            .inverse = const_floats(saved[3]),
                            .dx = values(dx),
                            .width = static_cast<size_t>(width)};
    const auto total = sums_over_rows(
        x.numel() / width, width, 2 * width, [&](size_t first, size_t last, float* sums) {
          layer_norm_backward_rows(norm, first, last, sums, sums + width);
        });  // dweight, dbias
    return {dx, total.narrow(0, 0, width), total.narrow(0, width, width), at::Tensor(),
            at::Tensor()};
  }
};

}  // namespace

at::Tensor cpu::rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                         at::ScalarType out) {
  const ProfiledOp op("loopbank::rms_norm");
  return RmsNorm::apply(x, weight, eps, out);
}

at::Tensor cpu::layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                           double eps, at::ScalarType out) {
  const ProfiledOp op("loopbank::layer_norm");
  return LayerNorm::apply(x, weight, bias, eps, out);
}

}  // namespace loopbank::ops
