#pragma once
/// Causal self-attention with rotary positions and normed queries and keys (SPEC 1, Attention), and
/// what imported models have of it: no norm or one before the rotation, biases, heads of any width.

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

#include "loopbank/model/branch.h"
#include "loopbank/model/config.h"
#include "loopbank/model/linear.h"
#include "loopbank/ops/self_attention.h"

namespace loopbank {

class Attention {
 public:
  Attention(Parameters& parameters, const std::string& name, const ModelConfig& config);

  ///     q, k, v      = linear(x) in heads of width d
  ///     q, k         = rms_norm(rotate(q)), rms_norm(rotate(k))            where `qk_norm` is after
  ///     attention(x) = output(softmax(q k^T / sqrt d) v)
  ///
  /// each token over itself and those before.
  ///
  /// @param x  [B, T, D], cast to the compute type
  /// @return a branch [B, T, D]
  [[nodiscard]] Branch operator()(const at::Tensor& x, const Place& place) const;

  /// The same for x = rms_norm(h), with norm and products as one op. Where the branch is added to h,
  /// that op also sums h's two gradients.
  [[nodiscard]] Branch operator()(const Normed& x, const Place& place) const;

  /// Keys and values alone, of tokens that will be attended to at loops which they did not run.
  /// @param x  for [1, r, D]
  [[nodiscard]] KeysValues keys_values(const Normed& x, const Place& place) const;

 private:
  /// Over what the pass says that a token sees: those before it in its row, or in its text. [B, T, (H + 2 H_kv) d] to [B, T, H d]
  [[nodiscard]] at::Tensor attend(const at::Tensor& qkv, const Place& place) const;

  [[nodiscard]] ops::HeadNorm norm() const;

  ops::AttentionHeads heads_;
  Linear query_;
  Linear key_;
  Linear value_;
  Linear output_;
  ops::NormPlace norm_place_;
  std::optional<RmsNorm> query_norm_;
  std::optional<RmsNorm> key_norm_;
};

}  // namespace loopbank
