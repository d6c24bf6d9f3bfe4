/// linear (linear.h) on the CPU: one product for all layers of an input, packed weights, and
/// gradients of the masters in fp32 straight from the product.

#include "loopbank/ops/cpu/fused.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "loopbank/ops/autograd_function.h"
#include "loopbank/ops/kept.h"
#include "loopbank/ops/kernels.h"

namespace loopbank::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using WeightsHandle = std::shared_ptr<LinearWeights>;
using GradientHandle = std::shared_ptr<WeightGradient>;

class Linear : public torch::autograd::Function<Linear> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const c10::optional<at::Tensor>& /*token*/,
                            const WeightsHandle& weights, const GradientHandle& gradient) {
    const auto rows = dense(x);  // [..., in]
    auto shape = x.sizes().vec();
    shape.back() = weights->out();
    auto y = at::empty(shape, rows.options());  // [..., out]
    weights->multiply(as_matrix(rows), as_matrix(y));
    context->save_for_backward({rows});
    context->saved_data["weights"] = keep(weights);
    context->saved_data["gradient"] = keep(gradient);
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto x = context->get_saved_variables().front();  // [..., in]
    const auto dy = dense(gradients.front());               // [..., out]
    variable_list result(4);
    if (context->needs_input_grad(0)) {
      result[0] = at::empty(x.sizes(), x.options());  // dx [..., in]
      kept<WeightsHandle>(context->saved_data["weights"])
          ->multiply_back(as_matrix(dy), as_matrix(result[0]));
    }
    const auto gradient = kept<GradientHandle>(context->saved_data["gradient"]);
    if (gradient != nullptr && context->needs_input_grad(1)) {
      gradient->add(as_matrix(dy), as_matrix(x));
    }
    return result;
  }
};

}  // namespace

at::Tensor cpu::linear(const at::Tensor& x, const WeightsHandle& weights) {
  const ProfiledOp op("loopbank::linear");
  const auto gradient = weights->gradient();
  return Linear::apply(x, token_of(gradient), weights, gradient);
}

}  // namespace loopbank::ops
