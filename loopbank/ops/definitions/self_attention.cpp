#include "loopbank/ops/self_attention.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <string_view>

#include "loopbank/ops/attention.h"
#include "loopbank/ops/check.h"
#include "loopbank/ops/cpu/fused.h"
#include "loopbank/ops/cuda/fused.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

void check_qkv_shapes(std::string_view op, const at::Tensor& qkv, const AttentionHeads& heads,
                      const RotaryTable& angles, const HeadNorm& norm) {
  if (heads.query < 1 || heads.key < 1 || heads.query % heads.key != 0) {
    fail(ErrorCode::kShape, "{}: expected H a multiple of H_kv, both at least 1, got {} and {}.",
         op, heads.query, heads.key);
  }
  expect_rows(op, "qkv", qkv);
  const auto parts = heads.query + 2 * heads.key;
  if (qkv.dim() != 3 || qkv.size(2) == 0 || qkv.size(2) % (2 * parts) != 0) {
    fail(ErrorCode::kShape,
         "{}: expected qkv [B, T, {} d] with d even ({} query heads, {} key heads, {} "
         "value heads), got {}.",
         op, parts, heads.query, heads.key, heads.key, format_shape(qkv.sizes()));
  }
  const auto width = qkv.size(2) / parts;
  expect_shape(op, "cosines", angles.cosines, {qkv.size(1), width / 2});
  expect_shape(op, "sines", angles.sines, {qkv.size(1), width / 2});
  if (norm.place != NormPlace::kNone) {
    expect_shape(op, "query_weight", norm.query_weight, {width});
    expect_shape(op, "key_weight", norm.key_weight, {width});
  }
}

/// The heads [first, first + count) of a row. [B, T, (H + 2 H_kv) d] -> [B, count, T, d]
at::Tensor heads_of(const at::Tensor& qkv, int64_t first, int64_t count, int64_t width) {
  return qkv.narrow(-1, first * width, count * width)
      .reshape({qkv.size(0), qkv.size(1), count, width})
      .transpose(1, 2);
}

/// Queries, keys and values as the attention over heads takes them.
struct Heads {
  at::Tensor queries;  ///< [B, H, T, d], rotated and normed
  at::Tensor keys;     ///< [B, H_kv, T, d], likewise
  at::Tensor values;   ///< [B, H_kv, T, d]
};

Heads split(const at::Tensor& qkv, const AttentionHeads& heads, const RotaryTable& angles,
            const HeadNorm& norm) {
  const auto width = qkv.size(2) / (heads.query + 2 * heads.key);
  const auto part = [&](int64_t first, int64_t count) {
    return heads_of(qkv, first, count, width);  // [B, count, T, d]
  };
  const auto rotated = [&](const at::Tensor& x, const at::Tensor& weight) {
    return rotate_and_norm(x, angles, norm.place, weight, norm.eps);
  };
  return {.queries = rotated(part(0, heads.query), norm.query_weight),
          .keys = rotated(part(heads.query, heads.key), norm.key_weight),
          .values = part(heads.query + heads.key, heads.key)};
}

/// The same from what the kernels give: [B T, H, d], the values within qkv.
[[maybe_unused]] Heads by_heads_of(const RotatedHeads& of_rows, int64_t batch) {
  const auto by_heads = [&](const at::Tensor& x) {
    return x.view({batch, -1, x.size(1), x.size(2)}).transpose(1, 2);  // [B, H, T, d]
  };
  return {by_heads(of_rows.query), by_heads(of_rows.key), by_heads(of_rows.value)};
}

/// [B, H, T, d] to [B, T, H d].
at::Tensor merge(const at::Tensor& mixed) {
  return mixed.transpose(1, 2).reshape(
      {mixed.size(0), mixed.size(2), mixed.size(1) * mixed.size(3)});
}

bool fused_takes(const at::Tensor& qkv, const RotaryTable& angles, const HeadNorm& norm) {
  return takes_fused(qkv) && is_fp32_on_cpu(angles.cosines) && is_fp32_on_cpu(angles.sines) &&
         (norm.place == NormPlace::kNone ||
          (is_fp32_on_cpu(norm.query_weight) && is_fp32_on_cpu(norm.key_weight)));
}

}  // namespace

at::Tensor self_attention(const at::Tensor& qkv, const AttentionHeads& heads,
                          const RotaryTable& angles, const HeadNorm& norm) {
  check_qkv_shapes("self_attention", qkv, heads, angles, norm);
  if (fused_takes(qkv, angles, norm)) {
    return cpu::self_attention(qkv, heads, angles, norm);
  }
  if constexpr (cuda::kIsBuilt) {
    if (cuda::takes_heads(qkv, angles, norm)) {
      const auto of_rows = cuda::rotated_heads(qkv.flatten(0, 1), heads, angles, norm);
      const auto by_heads = by_heads_of(of_rows, qkv.size(0));
      return merge(causal_attention(by_heads.queries, by_heads.keys, by_heads.values));
    }
  }
  const auto by_heads = split(qkv, heads, angles, norm);
  return merge(causal_attention(by_heads.queries, by_heads.keys, by_heads.values));
}

}  // namespace loopbank::ops
