#pragma once
/// rotate_and_norm (rotary.h) on the rows of one head or the heads of one row inside joined projections,
/// and its gradient, in vector code. Free of ATen.

#include <cstddef>

#include "loopbank/ops/norm_place.h"
#include "loopbank/ops/simd/elementwise_values.h"

namespace loopbank::ops {

/// Rows that the kernels work on together.
inline constexpr size_t kRotaryChunk = 16;

/// Rows of one head, `stride` elements apart, and their angles.
struct RotaryRows {
  ConstValues x = {};
  size_t stride = 0;
  const float* cosines = nullptr;  ///< [rows, width / 2], or [width / 2] with `same_angles`
  const float* sines = nullptr;    ///< likewise
  bool same_angles = false;        ///< the rows are heads of one token
  NormPlace place = NormPlace::kAfter;
  const float* weight = nullptr;  ///< [width]; null without a norm
  size_t rows = 0;
  size_t width = 0;  ///< d
  float eps = 0.0F;
  float* rotated = nullptr;  ///< [kRotaryChunk, width] to work in
};

/// y = rotate_and_norm(x), dense rows.
void rotary_norm_rows(const RotaryRows& rows, Values y);

/// What comes back through rotate_and_norm.
struct RotaryGradient {
  const float* dy = nullptr;  ///< [rows, width] fp32, dense
  float scale = 1.0F;         ///< the gradient is scale * dy
  Values dx = {};             ///< rows of the stride of x, the dtype of x
  float* dweight = nullptr;   ///< [width], added to; left alone without a norm
};

void rotary_norm_backward_rows(const RotaryRows& rows, const RotaryGradient& gradient);

}  // namespace loopbank::ops
