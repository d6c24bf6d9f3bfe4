#include "loopbank/ops/self_attention.h"

#include <ATen/ATen.h>

#include "loopbank/ops/attention.h"
#include "loopbank/ops/check.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/self_attention_fused.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

void check_shapes(const at::Tensor& qkv, const AttentionHeads& heads, const RotaryTable& angles,
                  const HeadNorm& norm) {
  if (heads.query < 1 || heads.key < 1 || heads.query % heads.key != 0) {
    fail(ErrorCode::kShape,
         "self_attention: expected H a multiple of H_kv, both at least 1, got {} and {}.",
         heads.query, heads.key);
  }
  const auto parts = heads.query + 2 * heads.key;
  if (qkv.dim() != 3 || qkv.size(2) == 0 || qkv.size(2) % (2 * parts) != 0) {
    fail(ErrorCode::kShape,
         "self_attention: expected qkv [B, T, {} d] with d even ({} query heads, {} key heads, {} "
         "value heads), got {}.",
         parts, heads.query, heads.key, heads.key, format_shape(qkv.sizes()));
  }
  const auto width = qkv.size(2) / parts;
  expect_shape("self_attention", "cosines", angles.cosines, {qkv.size(1), width / 2});
  expect_shape("self_attention", "sines", angles.sines, {qkv.size(1), width / 2});
  expect_shape("self_attention", "query_weight", norm.query_weight, {width});
  expect_shape("self_attention", "key_weight", norm.key_weight, {width});
}

bool is_fp32(const at::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kFloat;
}

/// The heads [first, first + count) of a row. [B, T, (H + 2 H_kv) d] -> [B, count, T, d]
at::Tensor heads_of(const at::Tensor& qkv, int64_t first, int64_t count, int64_t width) {
  return qkv.narrow(-1, first * width, count * width)
      .reshape({qkv.size(0), qkv.size(1), count, width})
      .transpose(1, 2);
}

}  // namespace

at::Tensor self_attention(const at::Tensor& qkv, const AttentionHeads& heads,
                          const RotaryTable& angles, const HeadNorm& norm) {
  check_shapes(qkv, heads, angles, norm);
  if (takes_fused(qkv) && is_fp32(angles.cosines) && is_fp32(angles.sines) &&
      is_fp32(norm.query_weight) && is_fp32(norm.key_weight)) {
    return fused_self_attention(qkv, heads, angles, norm);
  }
  const auto width = qkv.size(2) / (heads.query + 2 * heads.key);
  const auto queries = heads_of(qkv, 0, heads.query, width);                     // [B, H, T, d]
  const auto keys = heads_of(qkv, heads.query, heads.key, width);                // [B, H_kv, T, d]
  const auto values = heads_of(qkv, heads.query + heads.key, heads.key, width);  // [B, H_kv, T, d]
  const auto mixed = causal_attention(rotary_norm(queries, angles, norm.query_weight, norm.eps),
                                      rotary_norm(keys, angles, norm.key_weight, norm.eps), values);
  return mixed.transpose(1, 2).reshape(
      {qkv.size(0), qkv.size(1), heads.query * width});  // [B, T, H d]
}

}  // namespace loopbank::ops
