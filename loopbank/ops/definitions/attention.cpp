#include "loopbank/ops/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>

#include <cmath>
#include <limits>
#include <string_view>

#include "loopbank/ops/check.h"
#include "loopbank/ops/gemm/matrix_product.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/libtorch.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

/// Key heads repeated so that every query head has its own. [B, H_kv, S, d] -> [B, H, S, d]
at::Tensor repeat_heads(const at::Tensor& x, int64_t num_heads) {
  const int64_t repeats = num_heads / x.size(1);
  return repeats == 1 ? x : x.repeat_interleave(repeats, /*dim=*/1);
}

void check_attention_shapes(std::string_view op, const at::Tensor& query, const at::Tensor& key,
                            const at::Tensor& value) {
  expect_rows(op, "query", query, 0);
  expect_rows(op, "key", key, 0);
  if (query.dim() != 4 || key.dim() != 4 || key.size(1) == 0 || query.size(1) % key.size(1) != 0 ||
      key.size(2) < query.size(2) || key.size(3) != query.size(3) || key.size(0) != query.size(0)) {
    fail(ErrorCode::kShape,
         "{}: expected query [B, H, T, d] and key [B, H_kv, S >= T, d] with H a multiple of H_kv, "
         "got {} and {}.",
         op, format_shape(query.sizes()), format_shape(key.sizes()));
  }
  expect_shape(op, "value", value, key.sizes());
  expect_dtype(op, "key", key, query.scalar_type());
  expect_dtype(op, "value", value, query.scalar_type());
}

/// @param keys, values  [B, H, S, d]
/// @param hidden  [T, S] or undefined: everything is seen
at::Tensor attend(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values,
                  const at::Tensor& hidden) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(query.size(3)));
  auto scores = matrix_product(query, keys.transpose(-1, -2));  // [B, H, T, S]
  scores = scores.to(accumulation_type(query.scalar_type())) * scale;
  if (hidden.defined()) {
    scores = scores.masked_fill(hidden, -std::numeric_limits<double>::infinity());
  }
  const auto weights = at::softmax(scores, -1).to(query.scalar_type());  // [B, H, T, S]
  return matrix_product(weights, values);                                // [B, H, T, d]
}

}  // namespace

at::Tensor causal_attention(const at::Tensor& query, const at::Tensor& key,
                            const at::Tensor& value) {
  check_attention_shapes("causal_attention", query, key, value);
  const int64_t num_queries = query.size(2);
  const int64_t num_keys = key.size(2);
  const auto keys = repeat_heads(key, query.size(1));      // [B, H, S, d]
  const auto values = repeat_heads(value, query.size(1));  // [B, H, S, d]
  if (takes_fused_on_device(query) && num_queries == num_keys) {
    if (auto mixed = fused_causal_attention(query, keys, values); mixed.defined()) {
      return mixed;  // [B, H, T, d]
    }
  }
  at::Tensor future;
  if (num_queries > 1) {
    future = at::ones({num_queries, num_keys}, query.options().dtype(at::kBool))
                 .triu(num_keys - num_queries + 1);  // [T, S]
  }
  return attend(query, keys, values, future);
}

}  // namespace loopbank::ops
