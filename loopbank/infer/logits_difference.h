#pragma once
/// How far one way of running a model is from another, by the predictions of the same tokens.

#include <ATen/core/Tensor.h>

namespace loopbank {

struct LogitsDifference {
  double kl = 0.0;              ///< KL(reference || other), nats, mean over rows
  double top1_agreement = 0.0;  ///< share of rows whose most probable token is the same
};

/// @param reference  [R, V]  fp32, R of 1 or more
/// @param other      [R, V]  likewise
[[nodiscard]] LogitsDifference compare_logits(const at::Tensor& reference, const at::Tensor& other);

}  // namespace loopbank
