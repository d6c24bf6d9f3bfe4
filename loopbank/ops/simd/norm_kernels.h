#pragma once
/// The rows of rms_norm and layer_norm in vector code: one pass over memory forward, one backward.
/// A row of D values stays in the first-level cache while it is read two or three times.

#include <cstddef>

#include "loopbank/ops/simd/elementwise_values.h"

namespace loopbank::ops {

struct NormForward {
  ConstValues x;                  ///< [rows, D]
  const float* weight = nullptr;  ///< [D]
  const float* bias = nullptr;    ///< [D], layer_norm
  Values y;                       ///< [rows, D]
  float* mean = nullptr;          ///< [rows], layer_norm
  float* inverse = nullptr;       ///< [rows], 1 / sqrt(mean square or variance + eps)
  size_t width = 0;               ///< D
  float eps = 0.0F;
};

/// Rows `first` to `last`.
void rms_norm_rows(const NormForward& norm, size_t first, size_t last);
void layer_norm_rows(const NormForward& norm, size_t first, size_t last);

struct NormBackward {
  ConstValues dy;                  ///< [rows, D]
  ConstValues x;                   ///< [rows, D]
  const float* weight = nullptr;   ///< [D]
  const float* mean = nullptr;     ///< [rows], layer_norm
  const float* inverse = nullptr;  ///< [rows]
  Values dx;                       ///< [rows, D], the dtype of x
  size_t width = 0;                ///< D
  // Of rms_norm alone, null where they are not asked for:
  const float* more = nullptr;  ///< [rows, D], what x receives besides, added to dx
  Values y = {};                ///< [rows, D], the result once more, the dtype of dy
};

/// Rows `first` to `last`; their part of dweight [D] is added.
void rms_norm_backward_rows(const NormBackward& norm, size_t first, size_t last, float* dweight);
/// The same; dbias [D] is added, too.
void layer_norm_backward_rows(const NormBackward& norm, size_t first, size_t last, float* dweight,
                              float* dbias);

}  // namespace loopbank::ops
