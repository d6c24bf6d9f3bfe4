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

/// Memory that later products read. It is asked for meanwhile, two cache lines for every four of
/// weights at most, and comes while the weights come from a cache; none of it may be missed.
struct MemoryAhead {
  const char* begin = nullptr;
  const char* end = nullptr;
};

/// What one of `count` equal parts asks for.
[[nodiscard]] inline MemoryAhead part_of(const MemoryAhead& ahead, int64_t part, int64_t count) {
  const auto bytes = ahead.end - ahead.begin;
  return {ahead.begin + bytes * part / count, ahead.begin + bytes * (part + 1) / count};
}

/// Some k of some rows with one panel, or all k of one row with several.
struct PanelProduct {
  const void* x = nullptr;        ///< [rows, depth] from the first k on, fp32 or bf16
  int64_t x_stride = 0;           ///< values from a row to the next
  const char* weights = nullptr;  ///< the panel from the first k on
  int64_t columns = 0;
  int64_t panels = 1;       ///< with one row only: of the same columns, whose sums lie side by side
  int64_t panel_bytes = 0;  ///< from a panel to the next
  float* sums = nullptr;    ///< [rows, 64]
  int64_t rows = 0;
  int64_t depth = 0;  ///< a multiple of what the format stores side by side
  bool add = false;   ///< to the sums that are there; else they begin at 0
  MemoryAhead ahead;  ///< read with one row by dot products
};

/// multiply(product with one panel) for each panel.
template <typename Product, typename Multiply>
void for_each_panel(const Product& product, const Multiply& multiply) {
  auto one = product;
  one.panels = 1;
  for (int64_t panel = 0; panel < product.panels; ++panel) {
    one.ahead = part_of(product.ahead, panel, product.panels);
    multiply(one);
    one.weights += product.panel_bytes;
    one.sums += kPanelColumns;
  }
}

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
