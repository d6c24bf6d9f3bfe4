/// The halting ops (halting.h) on the CPU. mix_by_halting and router_logits: a pass over memory
/// forward, a pass backward. Saved for backward: the inputs themselves.

#include "loopbank/ops/cpu/fused.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/util/DimVector.h>

#include <algorithm>
#include <cmath>

#include "loopbank/ops/autograd_function.h"
#include "loopbank/ops/cpu/elementwise_rows.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/simd/halting_kernels.h"
#include "loopbank/ops/workspace.h"

namespace loopbank::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Elementwise values that take as long as a probability's logarithms.
constexpr int64_t kWorthOfALogarithm = 64;
/// Loops whose logits are listed without an allocation.
constexpr size_t kFewLoops = 8;

class MixByHalting : public torch::autograd::Function<MixByHalting> {
 public:
  static variable_list forward(AutogradContext* ctx, at::TensorList states,
                               const at::Tensor& halting) {
    const auto& first_state = states.front();  // [B, T, D]
    const auto width = first_state.size(-1);
    const auto rows = first_state.numel() / width;
    variable_list saved = {dense(halting)};  // [N, B, T], then the states
    const auto y = at::empty(first_state.sizes(), first_state.options());
    const auto loops = at::empty(halting.sizes().slice(1), halting.options());  // [B, T]
    HaltingMixForward mix{.states = {},
                          .halting = const_floats(saved[0]),
                          .y = values(y),
                          .loops = floats(loops),
                          .num_rows = static_cast<size_t>(rows),
                          .width = static_cast<size_t>(width)};
    for (const auto& state : states) {
      mix.states.push_back(const_values(saved.emplace_back(dense(state))));
    }
    for_row_ranges(rows, static_cast<int64_t>(states.size()) * width,
                   [&](size_t first, size_t last) { halting_mix_rows(mix, first, last); });
    ctx->save_for_backward(std::move(saved));
    ctx->set_materialize_grads(false);  // n may go unused, and so may y
    return {y, loops};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto num_loops = saved.size() - 1;
    variable_list result(num_loops + 1);  // of the states, then of halting
    if (gradients[0].defined()) {
      result.back() = mix_backward(ctx, saved, gradients, result);
    } else if (gradients[1].defined()) {
      const auto counts = at::arange(1, static_cast<int64_t>(num_loops) + 1, saved[0].options());
      result.back() = counts.view({-1, 1, 1}) * gradients[1];  // [N, B, T]
    }
    return result;
  }

 private:
  /// @param dstates  receives the gradients of the states that need one
  /// @return dhalting [N, B, T]
  static at::Tensor mix_backward(AutogradContext* ctx, const variable_list& saved,
                                 const variable_list& gradients, variable_list& dstates) {
    const auto dy = dense(gradients[0]);                                              // [B, T, D]
    const auto dloops = gradients[1].defined() ? dense(gradients[1]) : at::Tensor();  // [B, T]
    const auto width = dy.size(-1);
    const auto rows = dy.numel() / width;
    const auto dhalting = at::empty_like(saved[0]);
    HaltingMixBackward mix{.dy = const_values(dy),
                           .dloops = const_floats(dloops),
                           .states = {},
                           .halting = const_floats(saved[0]),
                           .dstates = {},
                           .dhalting = floats(dhalting),
                           .num_rows = static_cast<size_t>(rows),
                           .width = static_cast<size_t>(width)};
    for (size_t t = 0; t + 1 < saved.size(); ++t) {
      mix.states.push_back(const_values(saved[t + 1]));
      if (ctx->needs_input_grad(t)) {
        dstates[t] = at::empty_like(dy);
      }
      mix.dstates.push_back(values(dstates[t]));
    }
    for_row_ranges(rows, static_cast<int64_t>(mix.states.size()) * width,
                   [&](size_t first, size_t last) { halting_mix_backward_rows(mix, first, last); });
    return dhalting;
  }
};

/// @param state   [B, T, D], dense
/// @param weight  [1, D + 1], dense
at::Tensor router_logits_of(const at::Tensor& state, const at::Tensor& weight,
                            const at::Tensor& bias, double step) {
  const auto width = state.size(-1);
  const auto logits = new_tensor(state.sizes().slice(0, state.dim() - 1), at::kFloat);  // [B, T]
  const auto of_step = static_cast<double>(const_floats(weight)[width]) * step;
  const RouterForward router{
      .state = const_floats(state),
      .weight = const_floats(weight),
      .constant = static_cast<float>(of_step + static_cast<double>(*const_floats(bias))),
      .logits = floats(logits),
      .width = static_cast<size_t>(width)};
  for_row_ranges(logits.numel(), width,
                 [&](size_t first, size_t last) { router_rows(router, first, last); });
  return logits;
}

class RouterLogits : public torch::autograd::Function<RouterLogits> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& state, const at::Tensor& weight,
                            const at::Tensor& bias, double step) {
    const auto dense_state = dense(state);    // [B, T, D]
    const auto dense_weight = dense(weight);  // [1, D + 1]
    ctx->save_for_backward({dense_state, dense_weight});
    ctx->saved_data["step"] = step;
    return router_logits_of(dense_state, dense_weight, bias, step);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto& state = saved[0];   // [B, T, D]
    const auto& weight = saved[1];  // [1, D + 1]
    const auto width = state.size(-1);
    const auto dlogits = dense(gradients[0]);  // [B, T]
    const auto dstate = at::empty_like(state);
    const RouterBackward router{.dlogits = const_floats(dlogits),
                                .state = const_floats(state),
                                .weight = const_floats(weight),
                                .dstate = floats(dstate),
                                .width = static_cast<size_t>(width)};
    const auto dweight = sums_over_rows(dlogits.numel(), width, width + 1,
                                        [&](size_t first, size_t last, float* sums) {
                                          router_backward_rows(router, first, last, sums);
                                        });  // [D + 1], the last still of step 1
    const auto dbias = dweight.narrow(0, width, 1).clone();
    dweight.narrow(0, width, 1).mul_(ctx->saved_data["step"].toDouble());
    return {dstate, dweight.view(weight.sizes()), dbias, at::Tensor()};
  }
};

}  // namespace

at::Tensor cpu::halting_distribution(const std::vector<at::Tensor>& logits) {
  const ProfiledOp op("loopbank::halting_distribution");
  const auto num_loops = static_cast<int64_t>(logits.size());
  const auto rows = logits.front().numel();
  c10::SmallVector<at::Tensor, kFewLoops> kept;
  c10::SmallVector<const float*, kFewLoops> of_loop;
  for (const auto& logit : logits) {
    of_loop.push_back(const_floats(kept.emplace_back(dense(logit))));
  }
  c10::DimVector sizes = {num_loops};
  sizes.append(logits.front().sizes().begin(), logits.front().sizes().end());
  const auto halting = new_tensor(sizes, at::kFloat);  // [N, B, T]
  auto* const probabilities = floats(halting);
  // log sigmoid(x), without the overflow of exp(-x).
  const auto log_sigmoid = [](float x) {
    return std::min(x, 0.0F) - std::log1p(std::exp(-std::abs(x)));
  };
  for_row_ranges(rows, kWorthOfALogarithm * num_loops, [&](size_t first, size_t last) {
    for (size_t row = first; row < last; ++row) {
      float log_remaining = 0.0F;  // log prod (1 - p_i)
      auto* p = probabilities + row;
      for (int64_t t = 0; t + 1 < num_loops; ++t, p += rows) {
        const float x = of_loop[static_cast<size_t>(t)][row];
        *p = std::exp(log_remaining + log_sigmoid(x));
        log_remaining += log_sigmoid(-x);
      }
      *p = std::exp(log_remaining);
    }
  });
  return halting;
}

HaltingMix cpu::mix_by_halting(const std::vector<at::Tensor>& states, const at::Tensor& halting) {
  const ProfiledOp op("loopbank::mix_by_halting");
  const auto mix = MixByHalting::apply(at::TensorList(states), halting);
  return {.state = mix[0], .expected_loops = mix[1]};
}

at::Tensor cpu::router_logits(const at::Tensor& state, const at::Tensor& weight,
                              const at::Tensor& bias, double step) {
  const ProfiledOp op("loopbank::router_logits");
  return at::GradMode::is_enabled() ? RouterLogits::apply(state, weight, bias, step)
                                    : router_logits_of(dense(state), dense(weight), bias, step);
}

}  // namespace loopbank::ops
