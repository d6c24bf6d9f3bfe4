#include "loopbank/ops/halting.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "loopbank/ops/check.h"
#include "loopbank/ops/cpu/fused.h"
#include "loopbank/ops/cuda/fused.h"
#include "loopbank/ops/cuda/launches.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

void check_mix(const std::vector<at::Tensor>& states, const at::Tensor& halting) {
  if (states.empty() || states.front().dim() != 3) {
    fail(ErrorCode::kShape,
         "mix_by_halting: expected states [B, T, D] of at least one loop, got {}.",
         states.empty() ? "none" : format_shape(states.front().sizes()));
  }
  expect_rows("mix_by_halting", "states", states.front());
  expect_rows("mix_by_halting", "halting", halting);
  const auto& first = states.front();
  expect_shape("mix_by_halting", "halting", halting,
               {static_cast<int64_t>(states.size()), first.size(0), first.size(1)});
  for (const auto& state : states) {
    expect_shape("mix_by_halting", "states", state, first.sizes());
    expect_dtype("mix_by_halting", "states", state, first.scalar_type());
  }
}

bool takes_fused_fp32(const at::Tensor& x) {
  return takes_fused(x) && x.scalar_type() == at::kFloat;
}

bool takes_fused_mix(const std::vector<at::Tensor>& states, const at::Tensor& halting) {
  return takes_fused_fp32(halting) &&
         std::all_of(states.begin(), states.end(), [&](const auto& state) {
           return takes_fused(state) && state.scalar_type() == states.front().scalar_type();
         });
}

}  // namespace

at::Tensor halting_distribution(const std::vector<at::Tensor>& logits) {
  if (logits.empty()) {
    fail(ErrorCode::kShape, "halting_distribution: expected at least one loop, got none.");
  }
  expect_rows("halting_distribution", "logits", logits.front());
  for (const auto& of_loop : logits) {
    expect_shape("halting_distribution", "logits", of_loop, logits.front().sizes());
  }
  const bool wants_gradient =
      at::GradMode::is_enabled() &&
      std::any_of(logits.begin(), logits.end(), [](const auto& x) { return x.requires_grad(); });
  if (!wants_gradient && std::all_of(logits.begin(), logits.end(), takes_fused_fp32)) {
    return cpu::halting_distribution(logits);
  }
  if constexpr (cuda::kIsBuilt) {
    if (logits.size() <= cuda::kMostLoops &&
        std::all_of(logits.begin(), logits.end(), cuda::takes_fp32)) {
      return cuda::halting_distribution(logits);
    }
  }
  std::vector<at::Tensor> log_probabilities;
  const auto type = accumulation_type(logits.front().scalar_type());
  auto log_remaining = at::zeros_like(logits.front(), type);  // [B, T], log prod (1 - p_i)
  for (size_t t = 0; t + 1 < logits.size(); ++t) {
    const auto logit = logits[t].to(type);  // [B, T]
    log_probabilities.push_back(log_remaining + at::log_sigmoid(logit));
    log_remaining = log_remaining + at::log_sigmoid(-logit);
  }
  log_probabilities.push_back(log_remaining);
  return at::stack(log_probabilities).exp();  // [N, B, T]
}

at::Tensor router_logits(const at::Tensor& state, const at::Tensor& weight, const at::Tensor& bias,
                         double step) {
  expect_rows("router_logits", "state", state);
  const auto width = state.size(-1);
  expect_shape("router_logits", "weight", weight, {1, width + 1});
  expect_shape("router_logits", "bias", bias, {1});
  if (takes_fused_fp32(state) && takes_fused_fp32(weight) && takes_fused_fp32(bias)) {
    return cpu::router_logits(state, weight, bias, step);
  }
  const auto type = state.scalar_type();
  const auto w = weight.to(type)[0];                               // [D + 1]
  const auto of_state = at::matmul(state, w.narrow(0, 0, width));  // [B, T]
  return of_state + (w[width] * step + bias.to(type));             // [B, T]
}

HaltingMix mix_by_halting(const std::vector<at::Tensor>& states, const at::Tensor& halting) {
  check_mix(states, halting);
  if (takes_fused_mix(states, halting)) {
    return cpu::mix_by_halting(states, halting);
  }
  if constexpr (cuda::kIsBuilt) {
    if (states.size() <= cuda::kMostLoops && cuda::takes_fp32(halting) &&
        std::all_of(states.begin(), states.end(), cuda::takes)) {
      return cuda::mix_by_halting(states, halting);
    }
  }
  at::Tensor state;
  at::Tensor expected_loops;
  for (size_t t = 0; t < states.size(); ++t) {
    const auto probability = halting[static_cast<int64_t>(t)];    // [B, T]
    const auto term = states[t] * probability.unsqueeze(-1);      // [B, T, D]
    const auto loops = probability * static_cast<double>(t + 1);  // [B, T]
    state = state.defined() ? state + term : term;
    expected_loops = expected_loops.defined() ? expected_loops + loops : loops;
  }
  return {state.to(states.front().scalar_type()), expected_loops};
}

}  // namespace loopbank::ops
