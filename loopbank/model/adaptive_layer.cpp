#include "loopbank/model/adaptive_layer.h"

#include <ATen/core/Tensor.h>

#include "loopbank/model/loop_mix.h"
#include "loopbank/model/loop_scale.h"
#include "loopbank/model/recompute.h"

namespace loopbank {
namespace {

Initial loop_scale_initial(const ModelConfig& config) {
  return {.kind = Initial::Kind::kConstant,
          .value = config.loop_scale_init,
          .has_first = config.first_loop_scale_init.has_value(),
          .first = config.first_loop_scale_init.value_or(0.0)};
}

}  // namespace

AdaptiveLayer::AdaptiveLayer(Parameters& parameters, const std::string& name,
                             const ModelConfig& config, int64_t layer, const SharedMemory* shared)
    : num_loops_(config.loops(layer)),
      f_(parameters, name + ".block", config),
      alpha_(parameters.add(name + ".loop_scale", {num_loops_}, ParameterKind::kLoopScale,
                            loop_scale_initial(config))),
      scale_kind_(config.loop_scale_kind),
      halting_(parameters, name, config.hidden_size, num_loops_, config.router_bias_init) {
  if (shared != nullptr) {
    memory_.emplace(parameters, name + ".memory", config, *shared);
  }
}

LayerOutput AdaptiveLayer::forward(const at::Tensor& x, const Place& place) const {
  const auto body = [this](const at::Tensor& h, const OpenBanks& banks, const Place& in) {
    return loop(h, banks, in);
  };
  const auto banks =
      memory_ && place.pass.reads_memory() ? memory_->open(x, num_loops_, place) : OpenBanks{};
  const auto mix =
      make_loop_mix(x, halting_, num_loops_, place, [&](const at::Tensor& h, const Place& in) {
        return f_.keys_values(h + memory(h, banks, in), in);
      });
  auto h = x;  // h^(0)
  for (int64_t t = 1; mix->runs(t); ++t) {
    h = kept_or_recomputed(Recompute::kLoop, body, h, banks, mix->place(t));
    h = mix->after_loop(t, h, halting_.logit(h, t));
  }
  return mix->output();
}

at::Tensor AdaptiveLayer::loop(const at::Tensor& h, const OpenBanks& banks,
                               const Place& place) const {
  const auto s = place.weights.scale(
      place.loop, [&] { return loop_scale(alpha_[place.loop - 1], scale_kind_); });
  const auto e = h + memory(h, banks, place);  // [B, T, D]
  return f_(e, s, place);                      // [B, T, D]
}

GatedSum AdaptiveLayer::memory(const at::Tensor& h, const OpenBanks& banks,
                               const Place& place) const {
  return memory_ && place.pass.reads_memory() ? (*memory_)(h, banks, place) : GatedSum();
}

}  // namespace loopbank
