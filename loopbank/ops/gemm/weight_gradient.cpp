#include "loopbank/ops/weight_gradient.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "loopbank/ops/autograd_function.h"
#include "loopbank/ops/kept.h"

namespace loopbank::ops {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// What the uses so far gave.
struct WeightGradient::Sum {
  std::vector<at::Tensor> totals;  // [out_k, in] fp32 a layer, none before the first of a pass
  std::vector<int64_t> outputs;    // out_k of each layer
  std::function<void()> done;
  int64_t uses = 0;
  int64_t added = 0;  // of them, in a backward pass
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
    auto result = std::exchange(sum->totals, {});
    sum->added = 0;
    sum->done();
    result.resize(sum->outputs.size() + 1);  // and of the sum itself
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

void WeightGradient::expect_use() {
  ++sum_->uses;
}

void WeightGradient::add(const Matrix& dy, const Matrix& x) {
  if (++sum_->added == sum_->uses) {
    sum_->done();
  }
  auto& totals = sum_->totals;
  const bool is_first = totals.empty();
  if (is_first) {
    for (const auto outputs : sum_->outputs) {
      totals.push_back(at::empty({outputs, x.columns}, at::kFloat));
    }
  }
  std::vector<Matrix> results;
  std::transform(totals.begin(), totals.end(), std::back_inserter(results), as_matrix);
  gemm(dy.transposed(), x, results, /*accumulate=*/!is_first);
}

c10::optional<at::Tensor> token_of(const std::shared_ptr<WeightGradient>& gradient) {
  return gradient ? c10::make_optional(gradient->token()) : c10::nullopt;
}

}  // namespace loopbank::ops
