#pragma once
/// mix_by_halting and router_logits in vector code.

#include <cstddef>
#include <vector>

#include "loopbank/ops/simd/elementwise_values.h"

namespace loopbank::ops {

struct HaltingMixForward {
  std::vector<ConstValues> states;  ///< N of [rows, D], one dtype
  const float* halting = nullptr;   ///< P [N, rows]
  Values y;                         ///< [rows, D], the dtype of the states
  float* loops = nullptr;           ///< n [rows]
  size_t num_rows = 0;
  size_t width = 0;  ///< D
};

/// Rows `first` to `last`.
void halting_mix_rows(const HaltingMixForward& mix, size_t first, size_t last);

struct HaltingMixBackward {
  ConstValues dy;                   ///< [rows, D]
  const float* dloops = nullptr;    ///< dn [rows]; null where n has no gradient
  std::vector<ConstValues> states;  ///< N of [rows, D], the dtype of dy
  const float* halting = nullptr;   ///< P [N, rows]
  std::vector<Values> dstates;      ///< N of [rows, D], the dtype of dy; null where not needed
  float* dhalting = nullptr;        ///< [N, rows]
  size_t num_rows = 0;
  size_t width = 0;  ///< D
};

/// Rows `first` to `last`.
void halting_mix_backward_rows(const HaltingMixBackward& mix, size_t first, size_t last);

struct RouterForward {
  const float* state = nullptr;   ///< [rows, D]
  const float* weight = nullptr;  ///< [D]
  float constant = 0.0F;          ///< weight[D] * step + bias
  float* logits = nullptr;        ///< [rows]
  size_t width = 0;               ///< D
};

/// Rows `first` to `last`.
void router_rows(const RouterForward& router, size_t first, size_t last);

struct RouterBackward {
  const float* dlogits = nullptr;  ///< [rows]
  const float* state = nullptr;    ///< [rows, D]
  const float* weight = nullptr;   ///< [D]
  float* dstate = nullptr;         ///< [rows, D]
  size_t width = 0;                ///< D
};

/// Rows `first` to `last`; their part of [dweight | sum of dlogits] [D + 1] is added.
void router_backward_rows(const RouterBackward& router, size_t first, size_t last, float* sums);

}  // namespace loopbank::ops
