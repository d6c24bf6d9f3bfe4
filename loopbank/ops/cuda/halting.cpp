/// halting_distribution and mix_by_halting (halting.h) on a GPU. Saved for backward: the inputs, and
/// the probabilities. The router's logits are a product with one column, which cuBLAS computes at the
/// memory's speed.

#include "loopbank/ops/cuda/fused.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/DeviceGuard.h>
#include <c10/util/DimVector.h>

#include "loopbank/ops/autograd_function.h"
#include "loopbank/ops/cuda/launches.h"
#include "loopbank/ops/cuda/tensors.h"

namespace loopbank::ops::cuda {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

variable_list all_dense(at::TensorList tensors) {
  variable_list result;
  for (const auto& tensor : tensors) {
    result.push_back(dense(tensor));
  }
  return result;
}

/// @param logits  N of [B, T], dense
at::Tensor distribution_on_device(const variable_list& logits) {
  const auto& first = logits.front();
  const c10::DeviceGuard guard(first.device());
  c10::DimVector sizes = {static_cast<int64_t>(logits.size())};
  sizes.append(first.sizes().begin(), first.sizes().end());
  const auto halting = empty_on(first, sizes, at::kFloat);  // [N, B, T]
  HaltingForward call{.logits = {},
                      .halting = floats_of(halting),
                      .num_loops = static_cast<int>(logits.size()),
                      .rows = first.numel()};
  for (size_t t = 0; t < logits.size(); ++t) {
    call.logits[t] = floats_of(logits[t]);
  }
  halting_forward(call, stream_of(first));
  return halting;
}

class DeviceDistribution : public torch::autograd::Function<DeviceDistribution> {
 public:
  static at::Tensor forward(AutogradContext* ctx, at::TensorList logits) {
    auto saved = all_dense(logits);
    auto halting = distribution_on_device(saved);
    saved.push_back(halting);
    ctx->save_for_backward(std::move(saved));
    return halting;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto num_loops = saved.size() - 1;
    const auto dhalting = dense(gradients[0]);  // [N, B, T]
    const c10::DeviceGuard guard(dhalting.device());
    HaltingBackward call{.logits = {},
                         .halting = floats_of(saved.back()),
                         .dhalting = floats_of(dhalting),
                         .dlogits = {},
                         .num_loops = static_cast<int>(num_loops),
                         .rows = saved.front().numel()};
    variable_list dlogits(num_loops);  // that of the last loop is not used
    for (size_t t = 0; t + 1 < num_loops; ++t) {
      dlogits[t] = at::empty_like(saved[t]);
      call.logits[t] = floats_of(saved[t]);
      call.dlogits[t] = floats_of(dlogits[t]);
    }
    if (num_loops > 1) {
      halting_backward(call, stream_of(dhalting));
    }
    return dlogits;
  }
};

class DeviceMix : public torch::autograd::Function<DeviceMix> {
 public:
  static variable_list forward(AutogradContext* ctx, at::TensorList states,
                               const at::Tensor& halting) {
    const auto& first = states.front();  // [B, T, D]
    const c10::DeviceGuard guard(first.device());
    auto saved = all_dense(states);
    const auto dense_halting = dense(halting);                                 // [N, B, T]
    const auto y = empty_on(first, first.sizes(), first.scalar_type());        // [B, T, D]
    const auto loops = empty_on(first, halting.sizes().slice(1), at::kFloat);  // [B, T]
    MixForward call{.states = {},
                    .halting = floats_of(dense_halting),
                    .y = values_of(y),
                    .loops = floats_of(loops),
                    .num_loops = static_cast<int>(states.size()),
                    .rows = loops.numel(),
                    .width = first.size(-1)};
    for (size_t t = 0; t < saved.size(); ++t) {
      call.states[t] = values_of(saved[t]);
    }
    mix_forward(call, stream_of(first));
    saved.push_back(dense_halting);
    ctx->save_for_backward(std::move(saved));
    ctx->set_materialize_grads(false);  // n may go unused, and so may y
    return {y, loops};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto num_loops = saved.size() - 1;
    variable_list result(num_loops + 1);  // of the states, then of halting
    if (gradients[0].defined()) {
      result.back() = of_both(ctx, saved, gradients, result);
    } else if (gradients[1].defined()) {
      const auto counts =
          at::arange(1, static_cast<int64_t>(num_loops) + 1, saved.back().options());
      result.back() = counts.view({-1, 1, 1}) * gradients[1];  // [N, B, T]
    }
    return result;
  }

 private:
  /// @param dstates  receives the gradients of the states that need one
  /// @return dhalting [N, B, T]
  static at::Tensor of_both(AutogradContext* ctx, const variable_list& saved,
                            const variable_list& gradients, variable_list& dstates) {
    const auto dy = dense(gradients[0]);                                              // [B, T, D]
    const auto dloops = gradients[1].defined() ? dense(gradients[1]) : at::Tensor();  // [B, T]
    const c10::DeviceGuard guard(dy.device());
    const auto dhalting = at::empty_like(saved.back());
    const auto num_loops = saved.size() - 1;
    MixBackward call{.dy = values_of(dy),
                     .dloops = floats_of(dloops),
                     .states = {},
                     .halting = floats_of(saved.back()),
                     .dstates = {},
                     .dhalting = floats_of(dhalting),
                     .num_loops = static_cast<int>(num_loops),
                     .rows = dy.numel() / dy.size(-1),
                     .width = dy.size(-1)};
    for (size_t t = 0; t < num_loops; ++t) {
      call.states[t] = values_of(saved[t]);
      if (ctx->needs_input_grad(t)) {
        dstates[t] = at::empty_like(dy);
      }
      call.dstates[t] = values_of(dstates[t]);
    }
    mix_backward(call, stream_of(dy));
    return dhalting;
  }
};

}  // namespace

at::Tensor halting_distribution(const std::vector<at::Tensor>& logits) {
  const ProfiledOp op("loopbank::halting_distribution");
  return at::GradMode::is_enabled() ? DeviceDistribution::apply(at::TensorList(logits))
                                    : distribution_on_device(all_dense(logits));
}

HaltingMix mix_by_halting(const std::vector<at::Tensor>& states, const at::Tensor& halting) {
  const ProfiledOp op("loopbank::mix_by_halting");
  const auto mix = DeviceMix::apply(at::TensorList(states), halting);
  return {.state = mix[0], .expected_loops = mix[1]};
}

}  // namespace loopbank::ops::cuda
