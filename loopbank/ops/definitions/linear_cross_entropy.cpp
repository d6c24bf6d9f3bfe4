#include "loopbank/ops/linear_cross_entropy.h"

#include <ATen/core/Tensor.h>

#include "loopbank/ops/check.h"
#include "loopbank/ops/cpu/fused.h"
#include "loopbank/ops/cross_entropy.h"
#include "loopbank/ops/device/linear_cross_entropy.h"
#include "loopbank/ops/gemm/matrix_product.h"
#include "loopbank/ops/kernels.h"

namespace loopbank::ops {
namespace {

constexpr std::string_view kName = "linear_cross_entropy";

}  // namespace

at::Tensor linear_cross_entropy(const at::Tensor& states, const at::Tensor& weight,
                                const at::Tensor& targets, int64_t ignore) {
  expect_rows(kName, "states", states);
  expect_rows(kName, "weight", weight);
  const auto rows = states.size(0);
  const auto width = states.size(-1);
  const auto vocabulary = weight.size(0);
  expect_shape(kName, "states", states, {rows, width});
  expect_shape(kName, "weight", weight, {vocabulary, width});
  expect_shape(kName, "targets", targets, {rows});
  expect_ids(kName, "targets", targets, vocabulary, ignore);
  if (takes_fused(states) && takes_fused(weight)) {
    return cpu::linear_cross_entropy(states, weight, targets, ignore);
  }
  if (takes_fused_on_device(states) && takes_fused_on_device(weight)) {
    return device::linear_cross_entropy(states, weight, targets, ignore);
  }
  const auto logits = matrix_product(states, weight.to(states.scalar_type()).t());  // [R, V]
  return cross_entropy(logits, targets, ignore);
}

}  // namespace loopbank::ops
