#pragma once
/// The fused version of ops/feed_forward.h, for fp32 states on the CPU.

#include "loopbank/ops/feed_forward.h"

namespace loopbank::ops {

/// As `feed_forward`, of inputs that it has checked.
at::Tensor fused_feed_forward(const at::Tensor& a, const FeedForwardWeights& weights,
                              const at::Tensor& scale);

}  // namespace loopbank::ops
