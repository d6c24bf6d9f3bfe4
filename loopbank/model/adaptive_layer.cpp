#include "loopbank/model/adaptive_layer.h"

#include <ATen/ATen.h>

#include <vector>

#include "loopbank/ops/halting.h"

namespace loopbank {
namespace {

Initial loop_scale_initial(const ModelConfig& config) {
  return {.kind = Initial::Kind::kConstant,
          .value = config.loop_scale_init,
          .has_first = config.first_loop_scale_init.has_value(),
          .first = config.first_loop_scale_init.value_or(0.0)};
}

/// Means over D of a layer's gates, loop after loop, as a recorder holds them.
class GateRecord {
 public:
  void add(const at::Tensor& gate) {
    if (gate.defined()) {
      means_.push_back(gate.detach().mean(-1));  // [B, T]
    }
  }
  [[nodiscard]] at::Tensor stacked() const {
    return means_.empty() ? at::Tensor() : at::stack(means_);  // [N, B, T]
  }

 private:
  std::vector<at::Tensor> means_;
};

}  // namespace

AdaptiveLayer::AdaptiveLayer(Parameters& parameters, const std::string& name,
                             const ModelConfig& config, int64_t layer, const SharedMemory* shared)
    : layer_(layer),
      num_loops_(config.loops(layer)),
      block_(parameters, name + ".block", config),
      loop_scale_(parameters.add(name + ".loop_scale", {num_loops_}, ParameterKind::kLoopScale,
                                 loop_scale_initial(config))),
      halting_(parameters, name, config.hidden_size, num_loops_) {
  if (shared != nullptr) {
    memory_.emplace(parameters, name + ".memory", config, *shared);
  }
}

LayerOutput AdaptiveLayer::forward(const at::Tensor& x, Pass& pass) const {
  const auto bank = memory_ ? memory_->open(pass) : OpenBank{};
  std::vector<at::Tensor> states;
  std::vector<at::Tensor> logits;
  GateRecord local_gates;
  GateRecord global_gates;

  auto h = x;  // h^(0) [B, T, D]
  for (int64_t t = 1; t <= pass.loops(num_loops_); ++t) {
    pass.enter(layer_, t);
    auto e = h;
    if (memory_) {
      const auto memory = memory_->forward(h, bank, pass);
      e = h + memory.value;  // [B, T, D]
      if (pass.recorder() != nullptr) {
        local_gates.add(memory.local_gate);
        global_gates.add(memory.global_gate);
      }
    }
    h = block_.forward(e, at::softplus(loop_scale_[t - 1]), pass);  // [B, T, D]
    states.push_back(h);
    logits.push_back(halting_.logit(h, t));  // [B, T]
  }

  const auto halting = Halting::distribution(logits);        // P [N, B, T]
  const auto [y, n] = ops::mix_by_halting(states, halting);  // [B, T, D], [B, T]
  if (auto* recorder = pass.recorder(); recorder != nullptr) {
    recorder->halting[static_cast<size_t>(layer_)] = halting.detach();
    recorder->local_gate[static_cast<size_t>(layer_)] = local_gates.stacked();
    recorder->global_gate[static_cast<size_t>(layer_)] = global_gates.stacked();
  }
  return {.state = y, .expected_loops = n};
}

}  // namespace loopbank
