#include "loopbank/ops/weight_gradient.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "loopbank/ops/kept.h"

namespace loopbank::ops {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// What the uses so far gave.
struct WeightGradient::Sum {
  at::Tensor total;              // [out, in] fp32, undefined before the first of a backward pass
  std::vector<int64_t> outputs;  // out_k of each layer
  std::function<void()> done;
};

class WeightGradient::Token : public torch::autograd::Function<Token> {
 public:
  static at::Tensor forward(AutogradContext* context, at::TensorList masters,
                            const std::shared_ptr<Sum>& sum) {
    context->saved_data["sum"] = keep(sum);
    return at::empty({0}, masters.front().options());
  }

  static variable_list backward(AutogradContext* context, const variable_list& /*gradients*/) {
    const auto sum = kept<std::shared_ptr<Sum>>(context->saved_data["sum"]);
    // Another backward pass through the same graph starts anew.
    const auto total = std::move(sum->total);
    sum->total = at::Tensor();
    sum->done();
    variable_list result(sum->outputs.size() + 1);  // and of the sum itself
    int64_t first = 0;
    for (size_t layer = 0; layer < sum->outputs.size(); ++layer) {
      if (total.defined() && context->needs_input_grad(layer)) {
        result[layer] = total.narrow(0, first, sum->outputs[layer]);
      }
      first += sum->outputs[layer];
    }
    return result;
  }
};

WeightGradient::WeightGradient(const std::vector<at::Tensor>& masters, std::function<void()> done)
    : sum_(std::make_shared<Sum>()) {
  sum_->done = std::move(done);
  for (const auto& master : masters) {
    sum_->outputs.push_back(master.size(0));
  }
  token_ = Token::apply(at::TensorList(masters), sum_);
}

void WeightGradient::add(const Matrix& dy, const Matrix& x) {
  auto& total = sum_->total;
  const bool is_first = !total.defined();
  if (is_first) {
    total = at::empty({dy.columns, x.columns}, at::kFloat);
  }
  gemm(dy.transposed(), x, as_matrix(total), /*accumulate=*/!is_first);
}

c10::optional<at::Tensor> token_of(const std::shared_ptr<WeightGradient>& gradient) {
  return gradient ? c10::make_optional(gradient->token()) : c10::nullopt;
}

}  // namespace loopbank::ops
