#include "loopbank/ops/linear_cross_entropy.h"

#include <ATen/core/Tensor.h>

#include "loopbank/ops/check.h"
#include "loopbank/ops/cpu/fused.h"
#include "loopbank/ops/cross_entropy.h"
#include "loopbank/ops/gemm/matrix_product.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

constexpr std::string_view kName = "linear_cross_entropy";

/// @throws Error kData naming the first target that is neither a token nor `ignore`
void check_targets(const at::Tensor& targets, int64_t vocabulary, int64_t ignore) {
  if (targets.scalar_type() != at::kLong) {
    fail(ErrorCode::kDtype, "{}: expected targets of dtype Long, got {}.", kName,
         c10::toString(targets.scalar_type()));
  }
  if (!targets.is_cpu()) {
    return;  // looking would wait for the device
  }
  const auto all = targets.accessor<int64_t, 1>();
  for (int64_t row = 0; row < all.size(0); ++row) {
    if (all[row] != ignore && (all[row] < 0 || all[row] >= vocabulary)) {
      fail(ErrorCode::kData, "{}: expected targets in [0, {}) or {}, got {} at {}.", kName,
           vocabulary, ignore, all[row], row);
    }
  }
}

}  // namespace

at::Tensor linear_cross_entropy(const at::Tensor& states, const at::Tensor& weight,
                                const at::Tensor& targets, int64_t ignore) {
  const auto rows = states.size(0);
  const auto width = states.size(-1);
  const auto vocabulary = weight.size(0);
  expect_shape(kName, "states", states, {rows, width});
  expect_shape(kName, "weight", weight, {vocabulary, width});
  expect_shape(kName, "targets", targets, {rows});
  check_targets(targets, vocabulary, ignore);
  if (takes_fused(states) && takes_fused(weight)) {
    return cpu::linear_cross_entropy(states, weight, targets, ignore);
  }
  const auto logits = matrix_product(states, weight.to(states.scalar_type()).t());  // [R, V]
  return cross_entropy(logits, targets, ignore);
}

}  // namespace loopbank::ops
