#include "loopbank/ops/cast.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "loopbank/ops/check.h"
#include "loopbank/ops/cpu/elementwise_rows.h"
#include "loopbank/ops/simd/cast_kernels.h"
#include "loopbank/support/rounding.h"

namespace loopbank::ops {
namespace {

// Values at a time: a row for the threads to share.
constexpr int64_t kValues = 4096;

bool is_fast(const at::Tensor& x) {
  return x.is_cpu() && x.is_contiguous() &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

}  // namespace

void copy_into(const at::Tensor& to, const at::Tensor& from) {
  expect_shape("copy_into", "from", from, to.sizes());
  if (!is_fast(to) || !is_fast(from)) {
    const at::NoGradGuard no_grad;
    to.copy_(from);
    return;
  }
  const auto count = static_cast<size_t>(to.numel());
  for_row_ranges(divide_up(to.numel(), kValues), kValues, [&](size_t first, size_t last) {
    cast_values(const_values(from), values(to), first * kValues, std::min(last * kValues, count));
  });
}

}  // namespace loopbank::ops
