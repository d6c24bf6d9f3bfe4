#pragma once
/// The joined projection of rows of any sequences, taken apart for attention over a cache: queries
/// and keys rotated by each row's own angles and normed where the model norms them, values as they
/// are.

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "loopbank/ops/rotary.h"
#include "loopbank/ops/self_attention.h"

namespace loopbank::ops {

/// What paged_attention takes and what a cache stores.
struct RotatedHeads {
  at::Tensor query;  ///< [R, H, d], dense
  at::Tensor key;    ///< [R, H_kv, d], dense
  at::Tensor value;  ///< [R, H_kv, d], the rows of qkv that it came from: row r starts at
                     ///< value.data_ptr() + r * value.stride(0) values
};

/// q = rotate_and_norm(query), k = rotate_and_norm(key), v = value of each row (SPEC 1, Attention)
///
/// @param qkv     [R, (H + 2 H_kv) d]  query heads, key heads, value heads side by side
/// @param heads   H and H_kv
/// @param angles  [R, d/2] of the position of each row
/// @param norm    weights shared by the heads, or none
/// @throws Error kShape when the sizes do not fit or d is odd
/// Numerics: as rotate_and_norm, within kRotaryNormTolerance; where no gradient is asked for, a row's
/// result is the same to the bit whatever rows stand beside it and on any number of threads.
/// Differentiable by its reference.
RotatedHeads rotated_heads(const at::Tensor& qkv, const AttentionHeads& heads,
                           const RotaryTable& angles, const HeadNorm& norm);

/// The queries and keys without tensors, for the inner loop of a decoder: no allocation after a
/// thread's first call of a size, no check of what it is given.
struct RotatedRows {
  const void* qkv = nullptr;  ///< [R, (H + 2 H_kv) d], dense
  int64_t rows = 0;           ///< R
  AttentionHeads heads;
  int64_t width = 0;               ///< d
  bool is_bf16 = false;            ///< qkv and the results; else fp32
  const float* cosines = nullptr;  ///< [R, d/2]
  const float* sines = nullptr;    ///< [R, d/2]
  NormPlace place = NormPlace::kAfter;
  const float* query_weight = nullptr;  ///< [d]; null without a norm
  const float* key_weight = nullptr;    ///< [d]; likewise
  float eps = 0.0F;
  void* query = nullptr;  ///< [R, H, d], written
  void* key = nullptr;    ///< [R, H_kv, d], written
};

void rotate_rows(const RotatedRows& call);

}  // namespace loopbank::ops
