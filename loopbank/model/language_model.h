#pragma once
/// The whole model: embedding, layers, final norm, head (SPEC 1).
///
///     h = embedding[tokens]                  [B, T, D]
///     h, n_l = layer_l(h), l = 1..L          [B, T, D], [B, T]
///     logits = head(rms_norm(h))             [B, T, V]

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "loopbank/model/config.h"
#include "loopbank/model/forward_options.h"
#include "loopbank/model/parameters.h"

namespace loopbank {

struct ModelOutput {
  at::Tensor logits;          ///< [B, T, V] fp32
  at::Tensor expected_loops;  ///< [L, B, T] fp32: n of every layer, 1 for dense layers
};

struct LossOutput {
  at::Tensor total;          ///< scalar: cross_entropy + ponder_weight * ponder
  at::Tensor cross_entropy;  ///< scalar, nats a token, mean over targets that are not kIgnoreTarget
  at::Tensor ponder;         ///< scalar in [0, 1]: (mean n - 1) / (N - 1) over adaptive layers
  at::Tensor expected_loops;  ///< [L, B, T] fp32
};

/// A target that is not counted.
constexpr int64_t kIgnoreTarget = -100;

class LanguageModel {
 public:
  /// Validates the config and allocates the parameters; values are undefined until
  /// `parameters().initialize(seed)` or `load_weights`.
  explicit LanguageModel(ModelConfig config, at::Device device = at::kCPU);
  ~LanguageModel();
  LanguageModel(LanguageModel&&) noexcept;

  /// @param tokens  [B, T] int64 in [0, V) on the model's device
  /// @throws Error kShape when a token's position reaches max_position_embeddings
  [[nodiscard]] ModelOutput forward(const at::Tensor& tokens,
                                    const ForwardOptions& options = {}) const;

  struct Hidden {
    at::Tensor states;          ///< [B, T, D] after the final norm, in the compute dtype
    at::Tensor expected_loops;  ///< [L, B, T]
  };
  /// Hidden states after the final norm, without the head; for scoring a few positions.
  [[nodiscard]] Hidden hidden(const at::Tensor& tokens, const ForwardOptions& options = {}) const;
  /// Logits of hidden states: [..., D] to [..., V] fp32.
  [[nodiscard]] at::Tensor head(const at::Tensor& states, const ForwardOptions& options = {}) const;

  /// @param targets  [B, T] int64, kIgnoreTarget where not counted
  [[nodiscard]] LossOutput loss(const at::Tensor& tokens, const at::Tensor& targets,
                                const ForwardOptions& options = {}) const;

  [[nodiscard]] const ModelConfig& config() const;
  [[nodiscard]] Parameters& parameters();
  [[nodiscard]] const Parameters& parameters() const;
  [[nodiscard]] at::Device device() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace loopbank
