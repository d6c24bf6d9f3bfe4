#include "loopbank/model/loop_mix.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "loopbank/model/early_exit.h"
#include "loopbank/model/prepared_model.h"
#include "loopbank/ops/halting.h"

namespace loopbank {
namespace {

/// Every token runs every loop.
class SoftMix final : public LoopMix {
 public:
  SoftMix(at::Tensor x, const Halting& halting, int64_t num_loops, const Place& place)
      : x_(std::move(x)), halting_(halting), loops_(place.pass.loops(num_loops)), place_(place) {}

  [[nodiscard]] bool runs(int64_t t) const override { return t <= loops_; }
  [[nodiscard]] Place place(int64_t t) const override { return place_.at_loop(t); }

  at::Tensor after_loop(int64_t, const at::Tensor& h, const at::Tensor& logit) override {
    states_.push_back(h);
    logits_.push_back(logit);
    return h;
  }

  [[nodiscard]] LayerOutput output() override {
    const auto halting = halting_.distribution(logits_);  // P [N, B, T]
    if (auto* recorder = place_.pass.recorder(); recorder != nullptr) {
      recorder->record_halting(place_.layer, halting);
      recorder->record_states(place_.layer, x_, states_);
    }
    const auto [y, n] = ops::mix_by_halting(states_, halting);
    return {.state = y, .expected_loops = n};
  }

 private:
  at::Tensor x_;
  const Halting& halting_;
  int64_t loops_;
  Place place_;
  std::vector<at::Tensor> states_;  // h^(1), h^(2), ... [B, T, D]
  std::vector<at::Tensor> logits_;  // of p_1, p_2, ... [B, T]
};

}  // namespace

LoopMixHandle make_loop_mix(const at::Tensor& x, const Halting& halting, int64_t num_loops,
                            const Place& place, LateKeys late_keys) {
  const auto drop = [](LoopMix* mix) { delete mix; };
  if (place.pass.context() == nullptr) {
    return {new SoftMix(x, halting, num_loops, place), drop};
  }
  auto* const prepared = place.pass.prepared();
  LoopMixHandle handle = prepared != nullptr
                             ? LoopMixHandle(&prepared->early_exit(), [](LoopMix*) {})
                             : LoopMixHandle(new EarlyExit, drop);
  static_cast<EarlyExit&>(*handle).begin(x, halting, num_loops, place, std::move(late_keys));
  return handle;
}

}  // namespace loopbank
