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

  ///     y = a + s * down(silu(gate(x)) * up(x)),  x = norm(a)
  ///
  /// @param a      [B, T, D] in the state type
  /// @param scale  s, a scalar; undefined for 1
  /// @return y [B, T, D] in the state type
  [[nodiscard]] at::Tensor forward(const at::Tensor& a, const RmsNorm& norm,
                                   const at::Tensor& scale, Pass& pass) const;

 private:
  Linear gate_;
  Linear up_;
  Linear down_;
};

}  // namespace loopbank
