#include "loopbank/model/adaptive_layer.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/softplus.h>

#include <vector>

#include "loopbank/model/recompute.h"
#include "loopbank/ops/halting.h"

namespace loopbank {
namespace {

Initial loop_scale_initial(const ModelConfig& config) {
  return {.kind = Initial::Kind::kConstant,
          .value = config.loop_scale_init,
          .has_first = config.first_loop_scale_init.has_value(),
          .first = config.first_loop_scale_init.value_or(0.0)};
}

/// y = sum_t P_t h^(t), n = sum_t t P_t: [B, T, D] and [B, T].
/// @param halting  [N, B, T], P
LayerOutput sum_over_loops(const at::Tensor& halting, const std::vector<at::Tensor>& h) {
  const auto [y, n] = ops::mix_by_halting(h, halting);
  return {.state = y, .expected_loops = n};
}

}  // namespace

AdaptiveLayer::AdaptiveLayer(Parameters& parameters, const std::string& name,
                             const ModelConfig& config, int64_t layer, const SharedMemory* shared)
    : num_loops_(config.loops(layer)),
      f_(parameters, name + ".block", config),
      alpha_(parameters.add(name + ".loop_scale", {num_loops_}, ParameterKind::kLoopScale,
                            loop_scale_initial(config))),
      halting_(parameters, name, config.hidden_size, num_loops_, config.router_bias_init) {
  if (shared != nullptr) {
    memory_.emplace(parameters, name + ".memory", config, *shared);
  }
}

LayerOutput AdaptiveLayer::forward(const at::Tensor& x, const Place& place) const {
  const auto body = [this](const at::Tensor& h, const OpenBank& bank, const Place& in) {
    return loop(h, bank, in);
  };
  const auto bank = memory_ ? memory_->open(place.pass) : OpenBank{};
  std::vector<at::Tensor> states;  // h^(1), h^(2), ... [B, T, D]
  std::vector<at::Tensor> logits;  // of p_1, p_2, ... [B, T]
  auto h = x;                      // h^(0)
  for (int64_t t = 1; t <= place.pass.loops(num_loops_); ++t) {
    h = kept_or_recomputed(Recompute::kLoop, body, h, bank, place.at_loop(t));
    states.push_back(h);
    logits.push_back(halting_.logit(h, t));
  }
  const auto halting = halting_.distribution(logits);  // P [N, B, T]
  if (auto* recorder = place.pass.recorder(); recorder != nullptr) {
    recorder->record_halting(place.layer, halting);
    recorder->record_states(place.layer, x, states);
  }
  return sum_over_loops(halting, states);
}

at::Tensor AdaptiveLayer::loop(const at::Tensor& h, const OpenBank& bank,
                               const Place& place) const {
  const auto alpha_t = alpha_[place.loop - 1];
  const auto e = h + memory(h, bank, place);   // [B, T, D]
  return f_(e, at::softplus(alpha_t), place);  // [B, T, D]
}

GatedSum AdaptiveLayer::memory(const at::Tensor& h, const OpenBank& bank,
                               const Place& place) const {
  return memory_ ? (*memory_)(h, bank, place) : GatedSum();
}

}  // namespace loopbank
