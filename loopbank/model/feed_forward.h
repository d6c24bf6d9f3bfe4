#pragma once
/// SwiGLU feed-forward (SPEC 1, Feed-forward).

#include <ATen/core/Tensor.h>

#include <string>

#include "loopbank/model/config.h"
#include "loopbank/model/linear.h"

namespace loopbank {

class FeedForward {
 public:
  FeedForward(Parameters& parameters, const std::string& name, const ModelConfig& config);

  ///     y = down(silu(gate(x)) * up(x))
  ///
  /// @param x  [B, T, D] in the compute type
  /// @return y [B, T, D] in the compute type
  [[nodiscard]] at::Tensor forward(const at::Tensor& x, Pass& pass) const;

 private:
  Linear gate_;
  Linear up_;
  Linear down_;
};

}  // namespace loopbank
