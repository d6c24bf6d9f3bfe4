#pragma once
/// Products of rows with a panel of a weight, in which every sum is taken in one order however many
/// rows there are: one fp32 sum an output, k ascending. Free of ATen. Codes: panel_codes.h.
///
/// A panel holds up to 64 columns of W^T, a multiple of 16, k outermost: a step reads one run of
/// memory, and a row of sums fills a few registers. What a format stores for the k of a panel of
/// `columns` columns:
///
/// - fp32: [k][columns]
/// - bf16: [k / 2][columns][2], an even k and the odd one behind it side by side

#include <cstdint>

#include "loopbank/ops/simd/elementwise_values.h"

namespace loopbank::ops {

constexpr int64_t kPanelColumns = 64;  ///< of a full panel, and from a row of sums to the next
constexpr int64_t kStripColumns = 16;  ///< a panel has a multiple of it

/// Some k of some rows with one panel.
struct PanelProduct {
  const void* x = nullptr;        ///< [rows, depth] from the first k on, fp32 or bf16
  int64_t x_stride = 0;           ///< values from a row to the next
  const void* weights = nullptr;  ///< the panel from the first k on
  int64_t columns = 0;
  float* sums = nullptr;  ///< [rows, 64]
  int64_t rows = 0;
  int64_t depth = 0;  ///< a multiple of what the format stores side by side
  bool add = false;   ///< to the sums that are there; else they begin at 0
};

using MultiplyPanel = void (*)(const PanelProduct& product);

/// How the instruction set of this CPU multiplies each format.
struct PanelKernels {
  /// With rows of fp32.
  MultiplyPanel fp32 = nullptr, bf16 = nullptr;
  /// Weights in bf16 with rows of bf16; null where the CPU has no dot products of them.
  MultiplyPanel bf16_dots = nullptr;
};

/// The kernels that run everywhere.
[[nodiscard]] PanelKernels vector_panel_kernels();

/// That of AVX-512 BF16 beside them, where the CPU has it.
/// @return whether it has
bool take_dot_panel_kernels(PanelKernels& kernels);

/// Sums to their place.
struct PanelResult {
  const float* sums = nullptr;  ///< [rows, 64]
  int64_t rows = 0;
  int64_t columns = 0;  ///< those that are there
  Values y;             ///< [rows, columns]
  int64_t y_stride = 0;
};
void store_panel(const PanelResult& result);

}  // namespace loopbank::ops
