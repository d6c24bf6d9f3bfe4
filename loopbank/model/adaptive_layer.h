#pragma once
/// The adaptive layer: one block run up to N times, with a probability of stopping after each
/// (paper sec. 2).
///
///                 +------------- up to N loops --------------+
///                 |                                            |
///     x = h^(0) --+-> + memory(h) --> f( . ; s_t) --> h^(t) --+--> ... h^(N)
///                                                       |
///                                                router: p_t --> P_t
///
///     y = sum_t P_t h^(t)        n = sum_t t P_t
///
/// In training all loops are run and mixed: P_t is a weight, not a decision. In inference a token
/// may leave earlier (loop_mix.h).

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

  /// The loops, as many as the pass allows, and their mix.
  [[nodiscard]] LayerOutput forward(const at::Tensor& x, const Place& place) const override;

 private:
  /// The body of loop t:
  ///
  ///     e^(t) = h^(t-1) + memory(h^(t-1))
  ///     h^(t) = f(e^(t); s_t),  s_t = softplus(alpha_t) or alpha_t           (loop_scale.h)
  ///
  /// @param h      [B, T, D] h^(t-1)
  /// @param banks  opened
  /// @return h^(t) [B, T, D]
  [[nodiscard]] at::Tensor loop(const at::Tensor& h, const OpenBanks& banks,
                                const Place& place) const;

  /// Adds nothing in a model without banks, nor in a pass that reads none.
  [[nodiscard]] GatedSum memory(const at::Tensor& h, const OpenBanks& banks,
                                const Place& place) const;

  int64_t num_loops_;  // N
  Block f_;
  at::Tensor alpha_;  // [N]
  std::string scale_kind_;
  Halting halting_;
  std::optional<LayerMemory> memory_;
};

}  // namespace loopbank
