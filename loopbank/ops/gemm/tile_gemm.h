#pragma once
/// Products of bf16 matrices by tiles, on the tile unit of a CPU (Intel AMX) or with dot products
/// (AVX-512 BF16).
///
/// Why beside oneDNN: its 2.6 reaches two fifths of what the unit does, and on either less where a
/// factor has to be transposed, as in every gradient of a weight (docs/log.md). gemm.h calls this
/// where it is the faster one.

#include <cstdint>

#include "loopbank/ops/gemm.h"
#include "loopbank/ops/gemm/tile_kernels.h"

namespace loopbank::ops {

/// The fastest that this CPU has; null where it has none, under LOOPBANK_SIMD=avx2 and wherever
/// ONEDNN_MAX_CPU_ISA sets a limit.
[[nodiscard]] const TileKernels* tile_kernels();

/// Whether gemm() leaves this product to tile_gemm.
[[nodiscard]] bool takes_tile_gemm(const Matrix& a, const Matrix& b, const Matrix& c);

/// c = a b, or c += a b with `accumulate`, of sizes that fit.
/// @param a, b     bf16
/// @param results  one matrix or several, which hold the rows of c one after another; fp32, or bf16
///                 where they do not accumulate
/// Numerics: sums in fp32, one rounding at the end; subnormal factors count as 0.
void tile_gemm(const TileKernels& kernels, const Matrix& a, const Matrix& b,
               c10::ArrayRef<Matrix> results, bool accumulate);

}  // namespace loopbank::ops
