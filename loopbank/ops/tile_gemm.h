#pragma once
/// Products of bf16 matrices on the tile unit of a CPU (Intel AMX).
///
/// Why beside oneDNN: its 2.6 reaches two fifths of what the unit does, and less where a factor has
/// to be transposed, as in every gradient of a weight (docs/log.md). gemm.h calls this where it is
/// the faster one.

#include <cstdint>

#include "loopbank/ops/gemm.h"

namespace loopbank::ops {

/// Whether this CPU has the unit and the system lets us use it; false under LOOPBANK_SIMD=avx2 and
/// wherever ONEDNN_MAX_CPU_ISA sets a limit.
[[nodiscard]] bool has_tile_unit();

/// Whether tile_gemm computes this product.
[[nodiscard]] bool takes_tile_gemm(const Matrix& a, const Matrix& b, const Matrix& c);

/// c = a b, or c += a b with `accumulate`. Expects takes_tile_gemm() and sizes that fit.
/// Numerics: sums in fp32, one rounding at the end; subnormal factors count as 0.
void tile_gemm(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate);

}  // namespace loopbank::ops
