/// norm_linear (norm_linear.h) of fp32 states on the CPU.

#include "loopbank/ops/cpu/fused.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include "loopbank/ops/autograd_function.h"
#include "loopbank/ops/cpu/elementwise_rows.h"
#include "loopbank/ops/cpu/row_blocks.h"
#include "loopbank/ops/kept.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/simd/norm_kernels.h"

namespace loopbank::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using WeightsHandle = std::shared_ptr<LinearWeights>;
using GradientHandle = std::shared_ptr<WeightGradient>;

class FusedNormLinear : public torch::autograd::Function<FusedNormLinear> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& a, const at::Tensor& norm,
                               const c10::optional<at::Tensor>& /*token*/, double eps,
                               const WeightsHandle& weights, const GradientHandle& gradient) {
    const auto x = dense(a);               // [..., D]
    const auto norm_weight = dense(norm);  // [D]
    const RowBlocks blocks(x);
    auto shape = a.sizes().vec();
    shape.back() = weights->out();
    const auto y = at::empty(shape, at::TensorOptions().dtype(weights->compute_dtype()));
    const auto inverse = at::empty({blocks.rows}, at::kFloat);
    const auto& weight = weights->forward_parts(weights->out(), blocks.block).front();
    blocks.for_each([&](int64_t /*index*/, int64_t first, int64_t count) {
      const auto normed = thread_matrices(y.scalar_type(), count, {weights->in()}).front();
      rms_norm_rows({.x = values_from(x, first),
                     .weight = const_floats(norm_weight),
                     .y = values_of(normed),
                     .inverse = floats(inverse) + first,
                     .width = static_cast<size_t>(weights->in()),
                     .eps = static_cast<float>(eps)},
                    0, static_cast<size_t>(count));
      gemm(normed, weight, as_matrix(y).row_range(first, count));
    });
    ctx->save_for_backward({x, norm_weight, inverse});
    ctx->saved_data["weights"] = keep(weights);
    ctx->saved_data["gradient"] = keep(gradient);
    return {y, a};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto& x = saved[0];
    const auto weights = kept<WeightsHandle>(ctx->saved_data["weights"]);
    const auto D = weights->in();
    const auto dy = dense(gradients[0]);    // [..., out]
    const auto more = dense(gradients[1]);  // [..., D]
    const RowBlocks blocks(x);
    const auto da = at::empty_like(x);
    const auto normed = at::empty({blocks.rows, D}, dy.options());
    // A block's own sums, added up in one order whichever thread comes first.
    const auto dnorm = at::zeros({blocks.count(), D}, at::kFloat);
    const auto& weight = weights->backward_parts(D, blocks.block).front();
    blocks.for_each([&](int64_t index, int64_t first, int64_t count) {
      const auto dx = thread_matrices(dy.scalar_type(), count, {D}).front();
      gemm(as_matrix(dy).row_range(first, count), weight, dx);
      rms_norm_backward_rows({.dy = values_of(dx),
                              .x = values_from(x, first),
                              .weight = const_floats(saved[1]),
                              .inverse = const_floats(saved[2]) + first,
                              .dx = values_from(da, first),
                              .width = static_cast<size_t>(D),
                              .more = const_floats(more) + first * D,
                              .y = values_from(normed, first)},
                             0, static_cast<size_t>(count), floats(dnorm) + index * D);
    });
    const auto gradient = kept<GradientHandle>(ctx->saved_data["gradient"]);
    if (gradient != nullptr && ctx->needs_input_grad(2)) {
      gradient->add(as_matrix(dy), as_matrix(normed));
    }
    return {da, dnorm.sum(0), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

NormLinear cpu::norm_linear(const at::Tensor& a, const at::Tensor& norm, double eps,
                            const std::shared_ptr<LinearWeights>& weights) {
  const ProfiledOp op("loopbank::norm_linear");
  const auto gradient = weights->gradient();
  const auto results = FusedNormLinear::apply(a, norm, token_of(gradient), eps, weights, gradient);
  return {results[0], results[1]};
}

}  // namespace loopbank::ops
