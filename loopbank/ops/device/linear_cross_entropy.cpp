#include "loopbank/ops/device/linear_cross_entropy.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Reduction.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/nll_loss.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "loopbank/ops/autograd_function.h"
#include "loopbank/ops/cuda/fused.h"
#include "loopbank/ops/gemm/matrix_product.h"
#include "loopbank/support/rounding.h"

namespace loopbank::ops::device {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

int64_t rows_of_chunk(int64_t rows, int64_t vocabulary, int64_t bytes) {
  const auto row_bytes = vocabulary * static_cast<int64_t>(sizeof(float));
  const auto most = std::clamp<int64_t>(bytes / row_bytes, 1, std::max<int64_t>(rows, 1));
  return equal_parts(rows, most);
}

/// softmax - (1 at the target), 0 in rows that do not count, of log-probabilities that are given up.
at::Tensor gradient_of_logits(at::Tensor log_probabilities, const at::Tensor& targets,
                              int64_t ignore) {
  auto gradient = log_probabilities.exp_();                                   // [r, V]
  const auto places = targets.clamp_min(0).unsqueeze(1);                      // [r, 1]
  const auto minus_one = at::full(places.sizes(), -1.0, gradient.options());  // [r, 1]
  gradient.scatter_add_(1, places, minus_one);
  return gradient.mul_(targets.ne(ignore).unsqueeze(1));
}

/// What a chunk adds to.
struct Sums {
  at::Tensor loss;             ///< scalar fp32
  at::Tensor states_gradient;  ///< [R, D] in the dtype of states, or undefined
  at::Tensor weight_gradient;  ///< [V, D] fp32, or undefined
};

/// The loss of a chunk's logits, which are given up, and their gradient.
struct ChunkLoss {
  at::Tensor sum;       ///< scalar fp32
  at::Tensor gradient;  ///< [r, V] in the dtype of the logits, undefined where nobody asks
};

ChunkLoss loss_of_chunk(const at::Tensor& logits, const at::Tensor& targets, int64_t ignore,
                        bool wants_gradient) {
  if constexpr (cuda::kIsBuilt) {
    if (wants_gradient && cuda::takes(logits)) {
      const auto losses = cuda::cross_entropy_in_place(logits, targets, ignore, {});  // [r]
      return {losses.sum(), logits};
    }
  }
  auto log_probabilities = at::log_softmax(logits, -1, at::kFloat);  // [r, V]
  const auto sum = at::nll_loss(log_probabilities, targets, {}, at::Reduction::Sum, ignore);
  if (!wants_gradient) {
    return {sum, {}};
  }
  return {
      sum,
      gradient_of_logits(std::move(log_probabilities), targets, ignore).to(logits.scalar_type())};
}

void add_chunk(const at::Tensor& states, const at::Tensor& weight, const at::Tensor& targets,
               int64_t ignore, int64_t first, Sums& sums) {
  const auto logits = matrix_product(states, weight.t());  // [r, V]
  const bool wants_gradient = sums.states_gradient.defined() || sums.weight_gradient.defined();
  const auto [loss, gradient] = loss_of_chunk(logits, targets, ignore, wants_gradient);
  sums.loss += loss;
  if (sums.states_gradient.defined()) {
    sums.states_gradient.narrow(0, first, states.size(0)).copy_(matrix_product(gradient, weight));
  }
  if (sums.weight_gradient.defined()) {
    sums.weight_gradient.add_(matrix_product(gradient.t(), states));
  }
}

class ChunkedLoss : public torch::autograd::Function<ChunkedLoss> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& states,
                            const at::Tensor& weight, const at::Tensor& targets, int64_t ignore,
                            int64_t chunk_bytes, bool wants_states, bool wants_weight) {
    const auto rows = states.size(0);
    const auto low = weight.to(states.scalar_type());  // [V, D]
    const auto wide = states.options().dtype(at::kFloat);
    Sums sums{.loss = at::zeros({}, wide), .states_gradient = {}, .weight_gradient = {}};
    if (wants_states) {
      sums.states_gradient = at::empty_like(states);
    }
    if (wants_weight) {
      sums.weight_gradient = at::zeros(weight.sizes(), wide);
    }
    const auto chunk = rows_of_chunk(rows, weight.size(0), chunk_bytes);
    for (int64_t first = 0; first < rows; first += chunk) {
      const auto count = std::min(chunk, rows - first);
      add_chunk(states.narrow(0, first, count), low, targets.narrow(0, first, count), ignore, first,
                sums);
    }
    const auto counted = targets.ne(ignore).sum().clamp_min(1);
    context->save_for_backward({sums.states_gradient, sums.weight_gradient, counted});
    context->saved_data["dtype"] = static_cast<int64_t>(weight.scalar_type());
    return sums.loss / counted;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto scale = gradients[0] / saved[2];  // scalar fp32
    variable_list result(7);
    if (saved[0].defined()) {
      result[0] = saved[0] * scale;
    }
    if (saved[1].defined()) {
      const auto dtype = static_cast<at::ScalarType>(context->saved_data["dtype"].toInt());
      result[1] = (saved[1] * scale).to(dtype);
    }
    return result;
  }
};

}  // namespace

at::Tensor linear_cross_entropy(const at::Tensor& states, const at::Tensor& weight,
                                const at::Tensor& targets, int64_t ignore, int64_t chunk_bytes) {
  const bool differentiates = at::GradMode::is_enabled();
  return ChunkedLoss::apply(states, weight, targets, ignore, chunk_bytes,
                            differentiates && states.requires_grad(),
                            differentiates && weight.requires_grad());
}

}  // namespace loopbank::ops::device
