#pragma once
/// Codes and scales of a row of weights (ops/quantization.h). Free of ATen.

#include <cstdint>

namespace loopbank::ops {

/// A row and where its codes go.
struct RowToQuantize {
  const float* values = nullptr;  ///< [in]
  int64_t in = 0;
  int64_t bits = 8;
  uint8_t* codes = nullptr;    ///< [in] of 8 bits or [ceil(in / 2)] of two of 4 bits each
  uint16_t* scales = nullptr;  ///< [ceil(in / 32)] bf16
};

/// Rounds as quantize says.
/// @return whether all values are finite and below 2^113; else nothing is to be read of the row
[[nodiscard]] bool quantize_row(const RowToQuantize& row);

}  // namespace loopbank::ops
