#pragma once
/// gated_sum in vector code, for one bank or two.

#include <cstddef>

#include "loopbank/ops/simd/elementwise_values.h"

namespace loopbank::ops {

/// Local and global.
inline constexpr size_t kMostFusedBanks = 2;

struct GatedSumForward {
  const float* state = nullptr;             ///< [rows, D]
  ConstValues logits;                       ///< [rows, K D]
  const float* biases[kMostFusedBanks]{};   ///< K of [D]
  ConstValues memories[kMostFusedBanks]{};  ///< K of [rows, D], the dtype of logits
  float* sum = nullptr;                     ///< [rows, D]
  size_t num_banks = 0;                     ///< K
  size_t width = 0;                         ///< D
};

/// Rows `first` to `last`.
void gated_sum_rows(const GatedSumForward& sum, size_t first, size_t last);

struct GatedSumBackward {
  const float* dsum = nullptr;              ///< [rows, D]
  ConstValues logits;                       ///< [rows, K D]
  const float* biases[kMostFusedBanks]{};   ///< K of [D]
  ConstValues memories[kMostFusedBanks]{};  ///< K of [rows, D], the dtype of logits
  Values dlogits;                           ///< [rows, K D], the same
  Values dmemories[kMostFusedBanks]{};      ///< K of [rows, D], the same
  size_t num_banks = 0;                     ///< K
  size_t width = 0;                         ///< D
};

/// Rows `first` to `last`; their part of the biases' gradients [K D] is added.
void gated_sum_backward_rows(const GatedSumBackward& sum, size_t first, size_t last,
                             float* dbiases);

}  // namespace loopbank::ops
