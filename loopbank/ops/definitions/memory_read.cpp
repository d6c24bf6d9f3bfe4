#include "loopbank/ops/memory_read.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/softmax.h>

#include <cmath>

#include "loopbank/ops/check.h"
#include "loopbank/ops/cpu/fused.h"
#include "loopbank/ops/cuda/fused.h"
#include "loopbank/ops/gemm/matrix_product.h"
#include "loopbank/ops/kernels.h"

namespace loopbank::ops {

at::Tensor memory_read(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values) {
  expect_rows("memory_read", "query", query);
  expect_dimensions("memory_read", "keys", keys, 2);
  const int64_t width = query.size(-1);
  expect_shape("memory_read", "keys", keys, {keys.size(0), width});
  expect_shape("memory_read", "values", values, {keys.size(0), width});
  expect_dtype("memory_read", "keys", keys, query.scalar_type());
  expect_dtype("memory_read", "values", values, query.scalar_type());
  if (takes_fused(query) && takes_fused(keys)) {
    return cpu::memory_read(query, keys, values);
  }
  if constexpr (cuda::kIsBuilt) {
    if (cuda::takes(query) && cuda::takes(keys)) {
      return cuda::memory_read(query, keys, values);
    }
  }
  const double scale = 1.0 / std::sqrt(static_cast<double>(width));
  const auto scores = matrix_product(query, keys.t());  // [B, T, M]
  const auto wide = scores.to(accumulation_type(query.scalar_type())) * scale;
  const auto weights = at::softmax(wide, -1).to(query.scalar_type());  // [B, T, M]
  return matrix_product(weights, values);                              // [B, T, D]
}

}  // namespace loopbank::ops
