#pragma once
/// swiglu and scaled_residual in vector code.

#include <cstddef>

#include "loopbank/ops/elementwise_values.h"

namespace loopbank::ops {

struct SwigluForward {
  ConstValues gate_up;  ///< [rows, 2F]
  Values y;             ///< [rows, F], the dtype of gate_up
  size_t width = 0;     ///< F
};

/// Rows `first` to `last`.
void swiglu_rows(const SwigluForward& swiglu, size_t first, size_t last);

struct SwigluBackward {
  ConstValues dy;       ///< [rows, F]
  ConstValues gate_up;  ///< [rows, 2F], the dtype of dy
  Values dgate_up;      ///< [rows, 2F], the same
  size_t width = 0;     ///< F
};

/// Rows `first` to `last`.
void swiglu_backward_rows(const SwigluBackward& swiglu, size_t first, size_t last);

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

}  // namespace loopbank::ops
