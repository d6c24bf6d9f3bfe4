#include "loopbank/model/adaptive_layer.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/stack.h>

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

}  // namespace

AdaptiveLayer::AdaptiveLayer(Parameters& parameters, const std::string& name,
                             const ModelConfig& config, int64_t layer, const SharedMemory* shared)
    : layer_(layer),
      num_loops_(config.loops(layer)),
      block_(parameters, name + ".block", config),
      loop_scale_(parameters.add(name + ".loop_scale", {num_loops_}, ParameterKind::kLoopScale,
                                 loop_scale_initial(config))),
      halting_(parameters, name, config.hidden_size, num_loops_, config.router_bias_init) {
  if (shared != nullptr) {
    memory_.emplace(parameters, name + ".memory", config, *shared);
  }
}

/// The gates of a layer's loops, for a recorder.
struct AdaptiveLayer::GateRecords {
  /// Means over D of one bank's gates, loop after loop, as a recorder holds them.
  class Bank {
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

  Bank local;
  Bank global;
};

at::Tensor AdaptiveLayer::loop(const at::Tensor& h, int64_t t, const OpenBank& bank, Pass& pass,
                               GateRecords* gates) const {
  auto e = h;
  if (memory_) {
    const auto memory = memory_->forward(h, bank, pass);
    e = memory.state;  // h + memory(h) [B, T, D]
    if (gates != nullptr) {
      gates->local.add(memory.local_gate);
      gates->global.add(memory.global_gate);
    }
  }
  return block_.forward(e, at::softplus(loop_scale_[t - 1]), pass);  // [B, T, D]
}

at::Tensor AdaptiveLayer::recomputed_loop(const at::Tensor& h, int64_t t, const OpenBank& bank,
                                          const Pass& pass) const {
  const auto again = [this, t, first = pass.fork()](const std::vector<at::Tensor>& in) {
    const auto inner = first->fork();
    inner->global_bank = {.keys = in[3], .values = in[4]};
    return std::vector<at::Tensor>{
        loop(in[0], t, {.keys = in[1], .values = in[2]}, *inner, /*gates=*/nullptr)};
  };
  const auto& global = pass.global_bank;
  return recomputed(again, {h, bank.keys, bank.values, global.keys, global.values}).front();
}

LayerOutput AdaptiveLayer::forward(const at::Tensor& x, Pass& pass) const {
  const auto bank = memory_ ? memory_->open(pass) : OpenBank{};
  std::vector<at::Tensor> states;
  std::vector<at::Tensor> logits;
  GateRecords gates;

  auto h = x;  // h^(0) [B, T, D]
  for (int64_t t = 1; t <= pass.loops(num_loops_); ++t) {
    pass.enter(layer_, t);
    h = pass.recomputes(Recompute::kLoop)
            ? recomputed_loop(h, t, bank, pass)
            : loop(h, t, bank, pass, pass.recorder() != nullptr ? &gates : nullptr);  // [B, T, D]
    states.push_back(h);
    logits.push_back(halting_.logit(h, t));  // [B, T]
  }

  const auto halting = Halting::distribution(logits);        // P [N, B, T]
  const auto [y, n] = ops::mix_by_halting(states, halting);  // [B, T, D], [B, T]
  if (auto* recorder = pass.recorder(); recorder != nullptr) {
    recorder->halting[static_cast<size_t>(layer_)] = halting.detach();
    recorder->local_gate[static_cast<size_t>(layer_)] = gates.local.stacked();
    recorder->global_gate[static_cast<size_t>(layer_)] = gates.global.stacked();
    recorder->record_states(layer_, x, states);
  }
  return {.state = y, .expected_loops = n};
}

}  // namespace loopbank
