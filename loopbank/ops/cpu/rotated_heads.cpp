/// rotated_heads (rotated_heads.h) on the CPU: the heads of a row follow each other, so that a
/// single row is two runs of the vector code.

#include "loopbank/ops/rotated_heads.h"

#include <ATen/core/Tensor.h>

#include <cstddef>

#include "loopbank/ops/cpu/elementwise_rows.h"
#include "loopbank/ops/cpu/fused.h"
#include "loopbank/ops/gemm/scratchpad.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/simd/self_attention_rotary_kernels.h"
#include "loopbank/ops/workspace.h"

namespace loopbank::ops {
namespace {

/// Heads [first, first + count) of row `row` of qkv, to row `row` of `to`.
struct HeadsOfRow {
  int64_t first = 0;
  int64_t count = 0;
  const float* weight = nullptr;
  void* to = nullptr;
};

void rotate_heads(const RotatedRows& call, size_t row, const HeadsOfRow& part, float* rotated) {
  const auto width = static_cast<size_t>(call.width);
  const auto count = static_cast<size_t>(part.count);
  const auto columns = static_cast<size_t>(call.heads.query + 2 * call.heads.key) * width;
  const size_t bytes = call.is_bf16 ? 2 : 4;
  const size_t from = row * columns + static_cast<size_t>(part.first) * width;
  rotary_norm_rows({.x = {static_cast<const char*>(call.qkv) + from * bytes, call.is_bf16},
                    .stride = width,
                    .cosines = call.cosines + row * (width / 2),
                    .sines = call.sines + row * (width / 2),
                    .same_angles = true,
                    .place = call.place,
                    .weight = part.weight,
                    .rows = count,
                    .width = width,
                    .eps = call.eps,
                    .rotated = rotated},
                   {static_cast<char*>(part.to) + row * count * width * bytes, call.is_bf16});
}

}  // namespace

void rotate_rows(const RotatedRows& call) {
  honour_simd_limit();
  const auto& heads = call.heads;
  for_row_ranges(call.rows, (heads.query + heads.key) * call.width, [&](size_t row, size_t last) {
    thread_local Scratchpad scratchpad;
    auto* const rotated = static_cast<float*>(
        scratchpad.of_size(kRotaryChunk * static_cast<size_t>(call.width) * sizeof(float)));
    for (; row < last; ++row) {
      rotate_heads(call, row, {0, heads.query, call.query_weight, call.query}, rotated);
      rotate_heads(call, row, {heads.query, heads.key, call.key_weight, call.key}, rotated);
    }
  });
}

RotatedHeads cpu::rotated_heads(const at::Tensor& qkv, const AttentionHeads& heads,
                                const RotaryTable& angles, const HeadNorm& norm) {
  const ProfiledOp op("loopbank::rotated_heads");
  const auto x = dense(qkv);
  const auto cosines = dense(angles.cosines);
  const auto sines = dense(angles.sines);
  const bool has_norm = norm.place != NormPlace::kNone;
  const auto query_weight = has_norm ? dense(norm.query_weight) : at::Tensor();
  const auto key_weight = has_norm ? dense(norm.key_weight) : at::Tensor();
  const auto rows = x.size(0);
  const auto width = x.size(1) / (heads.query + 2 * heads.key);
  const auto keys_first = (heads.query + heads.key) * width;
  const RotatedHeads result{
      .query = new_tensor({rows, heads.query, width}, x.scalar_type()),
      .key = new_tensor({rows, heads.key, width}, x.scalar_type()),
      .value = strided(x, {rows, heads.key, width}, {x.size(1), width, 1}, keys_first)};
  rotate_rows({.qkv = x.data_ptr(),
               .rows = rows,
               .heads = heads,
               .width = width,
               .is_bf16 = x.scalar_type() == at::kBFloat16,
               .cosines = const_floats(cosines),
               .sines = const_floats(sines),
               .place = norm.place,
               .query_weight = const_floats(query_weight),
               .key_weight = const_floats(key_weight),
               .eps = static_cast<float>(norm.eps),
               .query = result.query.data_ptr(),
               .key = result.key.data_ptr()});
  return result;
}

}  // namespace loopbank::ops
