#pragma once
/// Products of rows with a panel of a weight, in which every sum is taken in one order however many
/// rows there are: one fp32 sum an output, k ascending. Free of ATen.
///
/// A panel holds up to 64 columns of W^T, a multiple of 16, k outermost: a step reads one run of
/// memory, and a row of sums fills a few registers. What a format stores for the k of a panel of
/// `columns` columns:
///
/// - fp32: [k][columns]
/// - bf16: [k / 2][columns][2], an even k and the odd one behind it side by side
/// - int8 and int4: groups of 32 k, each [columns] scales in bf16, then codes, a word of 32
///   bits a column:
///   - int8 [8][columns / 4][2][4][2]: of four columns the first two k of each, then the last two;
///     in two's complement or as a sign bit and a magnitude, whichever the kernels take
///   - int4 [4][columns]: 8 k in two's complement, the even in the lower half, the odd in the upper
///
/// Sums of codes: a group's by itself, sum_k x_k code_k, then the total + scale * it.

#include <cstdint>

#include "loopbank/ops/simd/elementwise_values.h"

namespace loopbank::ops {

constexpr int64_t kPanelColumns = 64;  ///< of a full panel, and from a row of sums to the next
constexpr int64_t kStripColumns = 16;  ///< a panel has a multiple of it
/// int8 and int4: inputs that share a scale, quantization.h's
constexpr int64_t kCodesPerGroup = 32;

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
  /// With rows of fp32, all formats.
  MultiplyPanel fp32 = nullptr, bf16 = nullptr, int8 = nullptr, int4 = nullptr;
  /// With rows of bf16; null where the CPU has no dot products of bf16.
  MultiplyPanel bf16_dots = nullptr, int8_dots = nullptr, int4_dots = nullptr;
  /// Codes of 8 bits are a sign bit and a magnitude; else two's complement.
  bool takes_sign_and_magnitude = false;
};

/// The kernels that run everywhere.
[[nodiscard]] PanelKernels vector_panel_kernels();

/// Those of AVX-512 BF16 (with VBMI, for codes) in their place, where the CPU has both.
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
