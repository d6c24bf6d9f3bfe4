#pragma once
/// What an adaptive layer makes of the states of its loops.
///
/// In training every token runs every loop, and y is mixed at the end. In inference a token may
/// leave after any loop, and the loops that follow run on those that are left. The layer is the
/// same for both: it asks whether there is another loop, and hands over what each one gave.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "loopbank/model/halting.h"
#include "loopbank/model/layer.h"

namespace loopbank {

class LoopMix {
 public:
  LoopMix() = default;
  LoopMix(const LoopMix&) = delete;
  LoopMix& operator=(const LoopMix&) = delete;
  virtual ~LoopMix() = default;

  /// Whether any token runs loop t.
  [[nodiscard]] virtual bool runs(int64_t t) const = 0;
  /// Loop t of the layer, for the tokens that run it.
  [[nodiscard]] virtual Place place(int64_t t) const = 0;
  /// Takes h^(t) and the logit of p_t; gives h^(t) of the tokens that run loop t + 1.
  virtual at::Tensor after_loop(int64_t t, const at::Tensor& h, const at::Tensor& logit) = 0;
  /// y and n.
  [[nodiscard]] virtual LayerOutput output() = 0;
};

/// A mix and what becomes of it at the end.
using LoopMixHandle = std::unique_ptr<LoopMix, void (*)(LoopMix*)>;

/// Keys and values of a layer's block made from hidden states [r, D] of the tokens of the place.
using LateKeys = std::function<KeysValues(const at::Tensor& h, const Place& place)>;

/// y = sum_t P_t h^(t), n = sum_t t P_t over all loops that the pass allows; or, in a pass of
/// inference, over the loops that each token runs:
///
///     y = sum_{t<tau} P_t h^(t) + (1 - C_{tau-1}) h^(tau)      hard: y = h^(tau)      (SPEC 6)
///
/// which is the halting rule over the loops that were run, and n how many those are; of a token
/// without a rule n is as in training.
/// @param num_loops  N of the layer
/// @param late_keys  asked for where a policy of keys and values needs it
/// What is handed over outlives the mix.
/// A pass with prepared weights uses one mix again and again.
[[nodiscard]] LoopMixHandle make_loop_mix(const at::Tensor& x, const Halting& halting,
                                          int64_t num_loops, const Place& place,
                                          LateKeys late_keys);

}  // namespace loopbank
