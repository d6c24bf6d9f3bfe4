#pragma once
/// The adaptive layer: one block run up to N times, with a chance to stop after each (paper sec.
/// 2).
///
///                 +-------------------- up to N loops --------------------+
///                 |                                                       |
///     x = h^(0) --+-> + memory(h) --> f( . ; softplus(alpha_t)) --> h^(t) +--> ... h^(N)
///                                                                     |
///                                                             router: p_t --> P_t
///
///     y = sum_t P_t h^(t)        n = sum_t t P_t
///
/// All loops are run and mixed, in training and in inference alike: P_t is a weight, not a
/// decision.

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

#include "loopbank/model/halting.h"
#include "loopbank/model/layer.h"
#include "loopbank/model/memory_bank.h"

namespace loopbank {

class AdaptiveLayer : public Layer {
 public:
  /// @param layer   l - 1, counted from 0
  /// @param shared  what the layers share of memory, or null without memory; outlives the layer
  AdaptiveLayer(Parameters& parameters, const std::string& name, const ModelConfig& config,
                int64_t layer, const SharedMemory* shared);

  ///     e^(t) = h^(t-1) + memory(h^(t-1))
  ///     h^(t) = f(e^(t); softplus(alpha_t))
  ///
  /// Under a loop budget below N the last allowed loop takes the rest of the chance.
  [[nodiscard]] LayerOutput forward(const at::Tensor& x, Pass& pass) const override;

 private:
  struct GateRecords;

  /// h^(t) of h^(t-1).
  /// @param gates  where the gates are recorded, or null
  [[nodiscard]] at::Tensor loop(const at::Tensor& h, int64_t t, const OpenBank& bank, Pass& pass,
                                GateRecords* gates) const;
  /// The same, computed again in the backward pass.
  [[nodiscard]] at::Tensor recomputed_loop(const at::Tensor& h, int64_t t, const OpenBank& bank,
                                           const Pass& pass) const;

  int64_t layer_;
  int64_t num_loops_;  // N
  Block block_;
  at::Tensor loop_scale_;  // alpha [N]
  Halting halting_;
  std::optional<LayerMemory> memory_;
};

}  // namespace loopbank
