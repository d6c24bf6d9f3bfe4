/// gated_sum (gated_sum.h) on the CPU: a pass over memory forward, a pass backward, which computes
/// the gates anew. Saved for backward: logits, biases, memories.

#include "loopbank/ops/cpu/fused.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>

#include "loopbank/ops/autograd_function.h"
#include "loopbank/ops/cpu/elementwise_rows.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/simd/gated_sum_kernels.h"
#include "loopbank/ops/workspace.h"

namespace loopbank::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// In plain values: an exponential takes as long as three.
int64_t work_a_row(int64_t width, size_t num_banks) {
  return 3 * static_cast<int64_t>(num_banks) * width;
}

/// The inputs as the kernels read them: logits [..., K D], then biases, then memories.
using GatedInputs = c10::SmallVector<at::Tensor, 1 + 2 * kMostFusedBanks>;

GatedInputs dense_inputs(const at::Tensor& logits, at::TensorList biases, at::TensorList memories) {
  GatedInputs inputs = {dense(logits)};
  for (const auto& bias : biases) {
    inputs.push_back(dense(bias));
  }
  for (const auto& memory : memories) {
    inputs.push_back(dense(memory));
  }
  return inputs;
}

/// @param state  [..., D], dense
at::Tensor gated_sum_of(const at::Tensor& state, const GatedInputs& inputs) {
  const auto width = state.size(-1);
  const auto num_banks = (inputs.size() - 1) / 2;
  const auto result = new_tensor(state.sizes(), at::kFloat);
  GatedSumForward sum{.state = const_floats(state),
                      .logits = const_values(inputs[0]),
                      .sum = floats(result),
                      .num_banks = num_banks,
                      .width = static_cast<size_t>(width)};
  for (size_t bank = 0; bank < num_banks; ++bank) {
    sum.biases[bank] = const_floats(inputs[1 + bank]);
    sum.memories[bank] = const_values(inputs[1 + num_banks + bank]);
  }
  for_row_ranges(state.numel() / width, work_a_row(width, num_banks),
                 [&](size_t first, size_t last) { gated_sum_rows(sum, first, last); });
  return result;
}

class GatedSum : public torch::autograd::Function<GatedSum> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& state, const at::Tensor& logits,
                            at::TensorList biases, at::TensorList memories) {
    const auto inputs = dense_inputs(logits, biases, memories);
    ctx->save_for_backward(variable_list(inputs.begin(), inputs.end()));
    return gated_sum_of(dense(state), inputs);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto num_banks = (saved.size() - 1) / 2;
    const auto width = gradients[0].size(-1);
    const auto dsum = dense(gradients[0]);          // [..., D]
    const auto dlogits = at::empty_like(saved[0]);  // [..., K D]
    GatedSumBackward sum{.dsum = const_floats(dsum),
                         .logits = const_values(saved[0]),
                         .dlogits = values(dlogits),
                         .num_banks = num_banks,
                         .width = static_cast<size_t>(width)};
    variable_list dmemories;
    for (size_t bank = 0; bank < num_banks; ++bank) {
      const auto& memory = saved[1 + num_banks + bank];
      sum.biases[bank] = const_floats(saved[1 + bank]);
      sum.memories[bank] = const_values(memory);
      sum.dmemories[bank] = values(dmemories.emplace_back(at::empty_like(memory)));
    }
    const auto num_biases = static_cast<int64_t>(num_banks) * width;
    const auto dbiases = sums_over_rows(dsum.numel() / width, work_a_row(width, num_banks),
                                        num_biases, [&](size_t first, size_t last, float* sums) {
                                          gated_sum_backward_rows(sum, first, last, sums);
                                        });          // [K D]
    variable_list result = {gradients[0], dlogits};  // state's gradient is the result's own
    for (const auto& dbias : dbiases.split(width)) {
      result.push_back(dbias);
    }
    result.insert(result.end(), dmemories.begin(), dmemories.end());
    return result;
  }
};

}  // namespace

at::Tensor cpu::gated_sum(const at::Tensor& state, const at::Tensor& logits, at::TensorList biases,
                          at::TensorList memories) {
  const ProfiledOp op("loopbank::gated_sum");
  return at::GradMode::is_enabled()
             ? GatedSum::apply(state, logits, biases, memories)
             : gated_sum_of(dense(state), dense_inputs(logits, biases, memories));
}

}  // namespace loopbank::ops
