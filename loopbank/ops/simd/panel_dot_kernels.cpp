/// Products with a panel (panel_kernels.h) by the dot products of AVX-512 BF16.

#include "loopbank/ops/simd/panel_kernels.h"

#if defined(__x86_64__) && defined(__linux__)

#include <immintrin.h>

#include <cstring>

// GCC 12 warns of its own header: what an unmasked intrinsic leaves undefined it also never reads.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace loopbank::ops {
namespace {

#define LOOPBANK_DOTS __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define LOOPBANK_DOTS_INLINE \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"), always_inline)) inline

/// Rows and registers of a row at a time: as many sums as leave room for the weights.
constexpr int64_t kDotRowsAtOnce = 6;
constexpr int64_t kDotPartsAtOnce = 4;

/// Weights in bf16, a pair of k a register.
struct PairsOfBf16 {
  static constexpr int64_t kPairs = 1;
  static LOOPBANK_DOTS_INLINE const char* at(const PanelProduct& p, int64_t k) {
    return static_cast<const char*>(p.weights) + 2 * k * p.columns;
  }
  static LOOPBANK_DOTS_INLINE __m512i pair(__m512i raw, int64_t /*pair*/) { return raw; }
};

template <int64_t kRows, int64_t kParts, typename Pairs>
LOOPBANK_DOTS_INLINE void multiply_dot_tile(const PanelProduct& p, int64_t row, int64_t column) {
  const auto* const x = static_cast<const uint16_t*>(p.x) + row * p.x_stride;
  float* const sums = p.sums + row * kPanelColumns + column;
  __m512 sum[kRows][kParts];
#pragma GCC unroll 8
  for (int64_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int64_t part = 0; part < kParts; ++part) {
      sum[i][part] = p.add ? _mm512_loadu_ps(sums + i * kPanelColumns + part * kStripColumns)
                           : _mm512_setzero_ps();
    }
  }
  for (int64_t k = 0; k < p.depth; k += 2 * Pairs::kPairs) {
    const auto* const from = Pairs::at(p, k) + column * static_cast<int64_t>(sizeof(float));
    __m512i raw[kParts];
#pragma GCC unroll 4
    for (int64_t part = 0; part < kParts; ++part) {
      raw[part] = _mm512_loadu_si512(from + part * 64);
    }
#pragma GCC unroll 4
    for (int64_t pair = 0; pair < Pairs::kPairs; ++pair) {
      __m512bh weight[kParts];
#pragma GCC unroll 4
      for (int64_t part = 0; part < kParts; ++part) {
        weight[part] = (__m512bh)Pairs::pair(raw[part], pair);
      }
#pragma GCC unroll 8
      for (int64_t i = 0; i < kRows; ++i) {
        int two;
        std::memcpy(&two, x + i * p.x_stride + k + 2 * pair, sizeof(two));
        const auto values = (__m512bh)_mm512_set1_epi32(two);
#pragma GCC unroll 4
        for (int64_t part = 0; part < kParts; ++part) {
          sum[i][part] = _mm512_dpbf16_ps(sum[i][part], values, weight[part]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int64_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int64_t part = 0; part < kParts; ++part) {
      _mm512_storeu_ps(sums + i * kPanelColumns + part * kStripColumns, sum[i][part]);
    }
  }
}

template <int64_t kRows, typename Pairs>
LOOPBANK_DOTS void multiply_dot_rows(const PanelProduct& p, int64_t row) {
  if (p.columns == kPanelColumns) {
    multiply_dot_tile<kRows, kDotPartsAtOnce, Pairs>(p, row, 0);
    return;
  }
  for (int64_t column = 0; column < p.columns; column += kStripColumns) {
    multiply_dot_tile<kRows, 1, Pairs>(p, row, column);
  }
}

template <typename Pairs>
LOOPBANK_DOTS void multiply_by_dots_of(const PanelProduct& p) {
  const auto blocks = (p.rows + kDotRowsAtOnce - 1) / kDotRowsAtOnce;
  for (int64_t block = 0, row = 0; block < blocks; ++block) {
    const auto rows = (p.rows - row + blocks - block - 1) / (blocks - block);
    switch (rows) {
      case 1: multiply_dot_rows<1, Pairs>(p, row); break;
      case 2: multiply_dot_rows<2, Pairs>(p, row); break;
      case 3: multiply_dot_rows<3, Pairs>(p, row); break;
      case 4: multiply_dot_rows<4, Pairs>(p, row); break;
      case 5: multiply_dot_rows<5, Pairs>(p, row); break;
      default: multiply_dot_rows<6, Pairs>(p, row); break;
    }
    row += rows;
  }
}

}  // namespace

bool take_dot_panel_kernels(PanelKernels& kernels) {
  if (__builtin_cpu_supports("avx512bw") == 0 || __builtin_cpu_supports("avx512vl") == 0 ||
      __builtin_cpu_supports("avx512bf16") == 0) {
    return false;
  }
  kernels.bf16_dots = multiply_by_dots_of<PairsOfBf16>;
  return true;
}

}  // namespace loopbank::ops

#else

namespace loopbank::ops {

bool take_dot_panel_kernels(PanelKernels&) {
  return false;
}

}  // namespace loopbank::ops

#endif
