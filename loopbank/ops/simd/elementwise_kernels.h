#pragma once
/// swiglu, scaled_residual and add_biases in vector code.

#include <cstddef>

#include "loopbank/ops/simd/elementwise_values.h"

namespace loopbank::ops {

/// Rows of one dtype, each `stride` values behind the one before.
struct SwigluForward {
  ConstValues gate;   ///< [rows, width]
  ConstValues up;     ///< [rows, width]
  size_t stride = 0;  ///< of gate and up
  Values y;           ///< [rows, width]
  size_t y_stride = 0;
  size_t width = 0;
  /// gate and up once more, written past the caches: for what is read again only when it has left
  /// them. Null where they are not asked for.
  Values gate_copy = {}, up_copy = {};
  size_t copy_stride = 0;
};

/// Rows `first` to `last`.
void swiglu_rows(const SwigluForward& swiglu, size_t first, size_t last);

/// Of scale * swiglu. The gradients may lie where gate and up do.
struct SwigluBackward {
  ConstValues dy;  ///< [rows, width]
  size_t dy_stride = 0;
  ConstValues gate;   ///< [rows, width]
  ConstValues up;     ///< [rows, width]
  Values dgate;       ///< [rows, width]
  Values dup;         ///< [rows, width]
  size_t stride = 0;  ///< of these four
  Values y = {};      ///< [rows, width], scale * swiglu once more; null where it is not asked for
  size_t y_stride = 0;
  size_t width = 0;
  float scale = 1.0F;
};

/// Rows `first` to `last`.
/// @return their part of <dy, swiglu>, the gradient of scale; 0 where y is null
float swiglu_backward_rows(const SwigluBackward& swiglu, size_t first, size_t last);

struct ResidualForward {
  const float* state = nullptr;
  ConstValues branch;
  float* y = nullptr;
  float scale = 1.0F;
};

/// Values `first` to `last`.
void scaled_residual_values(const ResidualForward& residual, size_t first, size_t last);

struct ResidualBackward {
  const float* dy = nullptr;
  ConstValues branch;  ///< null where scale needs no gradient
  Values dbranch;      ///< null where branch needs none
  float scale = 1.0F;
};

/// Values `first` to `last`.
/// @return their part of the gradient of scale, 0 without a branch
float scaled_residual_backward_values(const ResidualBackward& residual, size_t first, size_t last);

/// y = x + bias, `width` values of one dtype.
void add_bias_values(ConstValues x, const float* bias, size_t width, Values y);

/// sums += dy, `width` values.
void add_to_sums(ConstValues dy, size_t width, float* sums);

}  // namespace loopbank::ops
