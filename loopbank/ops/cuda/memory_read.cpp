/// memory_read (memory_read.h) on a GPU: ATen's products and its softmax in the type of the query,
/// which move each score once where the definition widens them to fp32 and back. The factor
/// 1 / sqrt(D) is the products' own. Saved for backward: the inputs and the weights [rows, M].

#include "loopbank/ops/cuda/fused.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_softmax_backward_data.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "loopbank/ops/autograd_function.h"

namespace loopbank::ops::cuda {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// a b / sqrt(D), the factor in fp32 before the one rounding.
at::Tensor scaled_product(const at::Tensor& a, const at::Tensor& b, int64_t width) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(width));
  return at::addmm(at::zeros({1}, a.options()), a, b, /*beta=*/0.0, /*alpha=*/scale);
}

/// @param query  [rows, D]
at::Tensor read_weights(const at::Tensor& query, const at::Tensor& keys) {
  return at::softmax(scaled_product(query, keys.t(), query.size(1)), -1);  // [rows, M]
}

class DeviceMemoryRead : public torch::autograd::Function<DeviceMemoryRead> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& query, const at::Tensor& keys,
                            const at::Tensor& values) {
    const auto weights = read_weights(query, keys);
    ctx->save_for_backward({query, keys, values, weights});
    return at::mm(weights, values);  // [rows, D]
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto& [query, keys, values, weights] = std::tie(saved[0], saved[1], saved[2], saved[3]);
    const auto& dm = gradients[0];                 // [rows, D]
    const auto dweights = at::mm(dm, values.t());  // [rows, M]
    const auto dscores =
        at::_softmax_backward_data(dweights, weights, -1, weights.scalar_type());  // [rows, M]
    return {scaled_product(dscores, keys, query.size(1)),
            scaled_product(dscores.t(), query, query.size(1)), at::mm(weights.t(), dm)};
  }
};

}  // namespace

at::Tensor memory_read(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values) {
  const ProfiledOp op("loopbank::memory_read");
  const auto rows = query.reshape({-1, query.size(-1)});  // [rows, D]
  const auto read = at::GradMode::is_enabled() ? DeviceMemoryRead::apply(rows, keys, values)
                                               : at::mm(read_weights(rows, keys), values);
  return read.view(query.sizes());
}

}  // namespace loopbank::ops::cuda
