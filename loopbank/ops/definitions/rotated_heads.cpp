#include "loopbank/ops/rotated_heads.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include "loopbank/ops/check.h"
#include "loopbank/ops/cpu/fused.h"
#include "loopbank/ops/cuda/fused.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

void check_joined_rows(const at::Tensor& qkv, const AttentionHeads& heads,
                       const RotaryTable& angles, const HeadNorm& norm) {
  if (heads.query < 0 || heads.key < 1 || heads.query % heads.key != 0) {
    fail(ErrorCode::kShape,
         "rotated_heads: expected H a multiple of H_kv, both at least 1, got {} and {}.",
         heads.query, heads.key);
  }
  expect_rows("rotated_heads", "qkv", qkv);
  const auto parts = heads.query + 2 * heads.key;
  if (qkv.dim() != 2 || qkv.size(1) == 0 || qkv.size(1) % (2 * parts) != 0) {
    fail(ErrorCode::kShape, "rotated_heads: expected qkv [R, {} d] with d even, got {}.", parts,
         format_shape(qkv.sizes()));
  }
  const auto width = qkv.size(1) / parts;
  expect_shape("rotated_heads", "cosines", angles.cosines, {qkv.size(0), width / 2});
  expect_shape("rotated_heads", "sines", angles.sines, {qkv.size(0), width / 2});
  if (norm.place != NormPlace::kNone) {
    expect_shape("rotated_heads", "query_weight", norm.query_weight, {width});
    expect_shape("rotated_heads", "key_weight", norm.key_weight, {width});
  }
}

/// Whether the fused version, which has no backward pass, may run.
bool takes_fused_rows(const at::Tensor& qkv, const RotaryTable& angles, const HeadNorm& norm) {
  const bool has_norm = norm.place != NormPlace::kNone;
  const bool wants_gradient =
      at::GradMode::is_enabled() &&
      (qkv.requires_grad() ||
       (has_norm && (norm.query_weight.requires_grad() || norm.key_weight.requires_grad())));
  return takes_fused(qkv) && !wants_gradient && is_fp32_on_cpu(angles.cosines) &&
         is_fp32_on_cpu(angles.sines) &&
         (!has_norm || (is_fp32_on_cpu(norm.query_weight) && is_fp32_on_cpu(norm.key_weight)));
}

}  // namespace

RotatedHeads rotated_heads(const at::Tensor& qkv, const AttentionHeads& heads,
                           const RotaryTable& angles, const HeadNorm& norm) {
  check_joined_rows(qkv, heads, angles, norm);
  if (takes_fused_rows(qkv, angles, norm)) {
    return cpu::rotated_heads(qkv, heads, angles, norm);
  }
  if constexpr (cuda::kIsBuilt) {
    if (cuda::takes_heads(qkv, angles, norm)) {
      return cuda::rotated_heads(qkv, heads, angles, norm);
    }
  }
  const auto width = qkv.size(1) / (heads.query + 2 * heads.key);
  const auto part = [&](int64_t first, int64_t count) {
    return qkv.narrow(1, first * width, count * width)
        .reshape({qkv.size(0), count, width});  // [R, count, d]
  };
  const auto rotated = [&](const at::Tensor& x, const at::Tensor& weight) {
    return rotate_and_norm(x.transpose(0, 1), angles, norm.place, weight, norm.eps)
        .transpose(0, 1)
        .contiguous();  // [R, count, d]
  };
  return {.query = rotated(part(0, heads.query), norm.query_weight),
          .key = rotated(part(heads.query, heads.key), norm.key_weight),
          .value = part(heads.query + heads.key, heads.key)};
}

}  // namespace loopbank::ops
