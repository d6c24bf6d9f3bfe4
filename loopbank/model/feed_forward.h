#pragma once
/// SwiGLU feed-forward (SPEC 1, Feed-forward).

#include <ATen/core/Tensor.h>

#include <string>

#include "loopbank/model/branch.h"
#include "loopbank/model/config.h"
#include "loopbank/model/linear.h"

namespace loopbank {

class FeedForward {
 public:
  FeedForward(Parameters& parameters, const std::string& name, const ModelConfig& config);

  ///     feed_forward(x) = down(silu(gate(x)) * up(x))
  ///
  /// @param x  [B, T, D], cast to the compute type
  /// @return a branch [B, T, D]
  [[nodiscard]] Branch operator()(const at::Tensor& x, const Place& place) const;

  /// feed_forward(x) of x = rms_norm(a), with all of a + s * feed_forward(x) as one op.
  struct OfNorm {
    const FeedForward& f;
    const Normed x;
    const Place& place;

    [[nodiscard]] at::Tensor value() const;
    [[nodiscard]] at::Tensor added_to(const at::Tensor& h, const at::Tensor& s) const;
  };
  [[nodiscard]] OfNorm operator()(const Normed& x, const Place& place) const {
    return {*this, x, place};
  }

 private:
  Linear gate_;
  Linear up_;
  Linear down_;
};

}  // namespace loopbank
