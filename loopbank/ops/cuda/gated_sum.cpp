/// gated_sum (gated_sum.h) on a GPU. Saved for backward: logits, biases, memories.

#include "loopbank/ops/cuda/fused.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/DeviceGuard.h>

#include "loopbank/ops/autograd_function.h"
#include "loopbank/ops/cuda/launches.h"
#include "loopbank/ops/cuda/tensors.h"

namespace loopbank::ops::cuda {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// The inputs as the kernels read them: logits [..., K D], then biases, then memories.
variable_list dense_gate_inputs(const at::Tensor& logits, at::TensorList biases,
                                at::TensorList memories) {
  variable_list inputs = {dense(logits)};
  for (const auto& bias : biases) {
    inputs.push_back(dense(bias));
  }
  for (const auto& memory : memories) {
    inputs.push_back(dense(memory));
  }
  return inputs;
}

/// @param state  [..., D], dense
at::Tensor gated_sum_on_device(const at::Tensor& state, const variable_list& inputs) {
  const c10::DeviceGuard guard(state.device());
  const auto width = state.size(-1);
  const auto num_banks = (inputs.size() - 1) / 2;
  const auto result = empty_on(state, state.sizes(), at::kFloat);  // [..., D]
  GatedSumForward sum{.state = floats_of(state),
                      .logits = values_of(inputs[0]),
                      .biases = {},
                      .memories = {},
                      .sum = floats_of(result),
                      .num_banks = static_cast<int>(num_banks),
                      .rows = state.numel() / width,
                      .width = width};
  for (size_t bank = 0; bank < num_banks; ++bank) {
    sum.biases[bank] = floats_of(inputs[1 + bank]);
    sum.memories[bank] = values_of(inputs[1 + num_banks + bank]);
  }
  gated_sum_forward(sum, stream_of(state));
  return result;
}

class DeviceGatedSum : public torch::autograd::Function<DeviceGatedSum> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& state, const at::Tensor& logits,
                            at::TensorList biases, at::TensorList memories) {
    const auto inputs = dense_gate_inputs(logits, biases, memories);
    ctx->save_for_backward(inputs);
    return gated_sum_on_device(dense(state), inputs);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto num_banks = (saved.size() - 1) / 2;
    const c10::DeviceGuard guard(saved[0].device());
    const auto width = gradients[0].size(-1);
    const auto dsum = dense(gradients[0]);          // [..., D]
    const auto dlogits = at::empty_like(saved[0]);  // [..., K D]
    const auto rows = dsum.numel() / width;
    GatedSumBackward sum{.dsum = floats_of(dsum),
                         .logits = values_of(saved[0]),
                         .biases = {},
                         .memories = {},
                         .dlogits = values_of(dlogits),
                         .dmemories = {},
                         .dbiases = {},
                         .num_banks = static_cast<int>(num_banks),
                         .rows = rows,
                         .width = width};
    variable_list dbiases, dmemories;
    for (size_t bank = 0; bank < num_banks; ++bank) {
      const auto& memory = saved[1 + num_banks + bank];
      sum.biases[bank] = floats_of(saved[1 + bank]);
      sum.memories[bank] = values_of(memory);
      sum.dmemories[bank] = values_of(dmemories.emplace_back(at::empty_like(memory)));
      sum.dbiases[bank] =
          floats_of(dbiases.emplace_back(empty_on(dsum, {partial_sums(rows), width}, at::kFloat)));
    }
    gated_sum_backward(sum, stream_of(dsum));
    variable_list result = {gradients[0], dlogits};  // state's gradient is the result's own
    for (const auto& dbias : dbiases) {
      result.push_back(dbias.sum(0));
    }
    result.insert(result.end(), dmemories.begin(), dmemories.end());
    return result;
  }
};

}  // namespace

at::Tensor gated_sum(const at::Tensor& state, const at::Tensor& logits, at::TensorList biases,
                     at::TensorList memories) {
  const ProfiledOp op("loopbank::gated_sum");
  return at::GradMode::is_enabled()
             ? DeviceGatedSum::apply(state, logits, biases, memories)
             : gated_sum_on_device(dense(state), dense_gate_inputs(logits, biases, memories));
}

}  // namespace loopbank::ops::cuda
