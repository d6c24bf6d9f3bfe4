#include "loopbank/ops/halting.h"

#include <ATen/ATen.h>

#include "loopbank/ops/check.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {

at::Tensor halting_distribution(const std::vector<at::Tensor>& logits) {
  if (logits.empty()) {
    fail(ErrorCode::kShape, "halting_distribution: expected at least one loop, got none.");
  }
  std::vector<at::Tensor> log_chances;
  const auto type = accumulation_type(logits.front().scalar_type());
  auto log_remaining = at::zeros_like(logits.front(), type);  // [B, T], log prod (1 - p_i)
  for (size_t t = 0; t + 1 < logits.size(); ++t) {
    expect_shape("halting_distribution", "logits", logits[t], logits.front().sizes());
    const auto logit = logits[t].to(type);  // [B, T]
    log_chances.push_back(log_remaining + at::log_sigmoid(logit));
    log_remaining = log_remaining + at::log_sigmoid(-logit);
  }
  log_chances.push_back(log_remaining);
  return at::stack(log_chances).exp();  // [N, B, T]
}

HaltingMix mix_by_halting(const std::vector<at::Tensor>& states, const at::Tensor& halting) {
  if (states.empty() || states.front().dim() != 3) {
    fail(ErrorCode::kShape,
         "mix_by_halting: expected states [B, T, D] of at least one loop, got {}.",
         states.empty() ? "none" : format_shape(states.front().sizes()));
  }
  const auto num_loops = static_cast<int64_t>(states.size());
  const auto& first = states.front();
  expect_shape("mix_by_halting", "halting", halting, {num_loops, first.size(0), first.size(1)});
  at::Tensor state;
  at::Tensor expected_loops;
  for (int64_t t = 0; t < num_loops; ++t) {
    const auto& loop_state = states[static_cast<size_t>(t)];  // [B, T, D]
    expect_shape("mix_by_halting", "states", loop_state, first.sizes());
    const auto chance = halting[t];                          // [B, T]
    const auto term = loop_state * chance.unsqueeze(-1);     // [B, T, D]
    const auto loops = chance * static_cast<double>(t + 1);  // [B, T]
    state = state.defined() ? state + term : term;
    expected_loops = expected_loops.defined() ? expected_loops + loops : loops;
  }
  return {state.to(first.scalar_type()), expected_loops};
}

}  // namespace loopbank::ops
