#pragma once
/// The block: attention and feed-forward, both residual branches scaled by s (paper eq. 1-2 and 5).

#include <ATen/core/Tensor.h>

#include <string>

#include "loopbank/model/attention.h"
#include "loopbank/model/feed_forward.h"

namespace loopbank {

class Block {
 public:
  Block(Parameters& parameters, const std::string& name, const ModelConfig& config);

  ///     a       = h + s * attention(rms_norm(h))
  ///     f(h; s) = a + s * feed_forward(rms_norm(a))
  ///
  /// The hidden state stays in fp32: with s = softplus(-7) = 0.0009 a step would vanish in bf16,
  /// whose values lie 0.4 % apart. How the four terms of a line become one or two ops: branch.h.
  ///
  /// @param h  [B, T, D] in the state type
  /// @param s  a scalar; undefined for 1
  /// @return f(h; s) [B, T, D] in the state type
  [[nodiscard]] at::Tensor operator()(const at::Tensor& h, const at::Tensor& s,
                                      const Place& place) const;

  /// Keys and values of its attention, from the same h.
  [[nodiscard]] KeysValues keys_values(const at::Tensor& h, const Place& place) const;

 private:
  RmsNorm attention_norm_;
  Attention attention_;
  RmsNorm feed_forward_norm_;
  FeedForward feed_forward_;
};

}  // namespace loopbank
