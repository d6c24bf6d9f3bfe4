#include "loopbank/ops/linear_fused.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "loopbank/ops/kernels.h"

namespace loopbank::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using WeightsHandle = std::shared_ptr<LinearWeights>;
using GradientHandle = std::shared_ptr<WeightGradient>;

/// What autograd can keep between the passes.
struct KeptWeights : torch::CustomClassHolder {
  KeptWeights(WeightsHandle of_weights, GradientHandle of_gradient)
      : weights(std::move(of_weights)), gradient(std::move(of_gradient)) {}
  WeightsHandle weights;
  GradientHandle gradient;
};

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
    context->saved_data["weights"] =
        c10::IValue::make_capsule(c10::make_intrusive<KeptWeights>(weights, gradient));
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto kept = c10::static_intrusive_pointer_cast<KeptWeights>(
        context->saved_data["weights"].toCapsule());
    const auto x = context->get_saved_variables().front();  // [..., in]
    const auto dy = dense(gradients.front());               // [..., out]
    variable_list result(4);
    if (context->needs_input_grad(0)) {
      result[0] = at::empty(x.sizes(), x.options());  // dx [..., in]
      kept->weights->multiply_back(as_matrix(dy), as_matrix(result[0]));
    }
    if (kept->gradient != nullptr && context->needs_input_grad(1)) {
      kept->gradient->add(as_matrix(dy), as_matrix(x));
    }
    return result;
  }
};

}  // namespace

at::Tensor fused_linear(const at::Tensor& x, const WeightsHandle& weights) {
  const ProfiledOp op("loopbank::linear");
  const auto gradient = weights->gradient();
  return Linear::apply(x, gradient ? c10::make_optional(gradient->token()) : c10::nullopt, weights,
                       gradient);
}

}  // namespace loopbank::ops
