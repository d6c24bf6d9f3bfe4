#include "loopbank/ops/linear_fused.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "loopbank/ops/kernels.h"

namespace loopbank::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using WeightsHandle = std::shared_ptr<LinearWeights>;

/// What autograd can keep between the passes.
struct KeptWeights : torch::CustomClassHolder {
  explicit KeptWeights(WeightsHandle handle) : weights(std::move(handle)) {}
  WeightsHandle weights;
};

WeightsHandle weights_of(AutogradContext* context) {
  return c10::static_intrusive_pointer_cast<KeptWeights>(context->saved_data["weights"].toCapsule())
      ->weights;
}

class Linear : public torch::autograd::Function<Linear> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const WeightsHandle& weights, at::TensorList /*masters*/) {
    const auto rows = dense(x);  // [..., in]
    auto shape = x.sizes().vec();
    shape.back() = weights->out();
    auto y = at::empty(shape, rows.options());  // [..., out]
    weights->multiply(as_matrix(rows), as_matrix(y));
    context->save_for_backward({rows});
    context->saved_data["weights"] =
        c10::IValue::make_capsule(c10::make_intrusive<KeptWeights>(weights));
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto weights = weights_of(context);
    const auto x = context->get_saved_variables().front();  // [..., in]
    const auto dy = dense(gradients.front());               // [..., out]
    variable_list result(2 + weights->masters().size());
    if (context->needs_input_grad(0)) {
      result[0] = at::empty(x.sizes(), x.options());  // dx [..., in]
      weights->multiply_back(as_matrix(dy), as_matrix(result[0]));
    }
    int64_t column = 0;
    for (size_t i = 0; i < weights->masters().size(); ++i) {
      const auto& master = weights->masters()[i];
      if (context->needs_input_grad(1 + i)) {
        auto& dw = result[2 + i];  // [out_i, in]
        dw = at::empty(master.sizes(), master.options().dtype(at::kFloat));
        gemm(as_matrix(dy).column_range(column, master.size(0)).transposed(), as_matrix(x),
             as_matrix(dw));
      }
      column += master.size(0);
    }
    return result;
  }
};

}  // namespace

at::Tensor fused_linear(const at::Tensor& x, const WeightsHandle& weights) {
  const ProfiledOp op("loopbank::linear");
  return Linear::apply(x, weights, at::TensorList(weights->masters()));
}

}  // namespace loopbank::ops
