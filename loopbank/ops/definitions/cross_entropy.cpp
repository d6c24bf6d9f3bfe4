#include "loopbank/ops/cross_entropy.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Reduction.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/nll_loss.h>

#include "loopbank/ops/check.h"

namespace loopbank::ops {

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& targets, int64_t ignore) {
  expect_rows("cross_entropy", "logits", logits);
  expect_dimensions("cross_entropy", "logits", logits, 2);
  expect_shape("cross_entropy", "targets", targets, {logits.size(0)});
  expect_ids("cross_entropy", "targets", targets, logits.size(1), ignore);
  const auto log_probabilities =
      at::log_softmax(logits, -1, accumulation_type(logits.scalar_type()));  // [R, V]
  const auto sum = at::nll_loss(log_probabilities, targets, {}, at::Reduction::Sum, ignore);
  const auto count = targets.ne(ignore).sum().clamp_min(1);
  return sum / count;
}

}  // namespace loopbank::ops
