/// Products with a panel in bf16 (panel_kernels.h) by the dot products of AVX-512 BF16.

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
constexpr int64_t kPairBytes = 4;  // two k of a column

LOOPBANK_DOTS_INLINE void ask_for_two_lines(MemoryAhead& ahead) {
#pragma GCC unroll 2
  for (int line = 0; line < 2; ++line) {
    if (ahead.begin < ahead.end) {
      _mm_prefetch(ahead.begin, _MM_HINT_T1);
      ahead.begin += 64;
    }
  }
}

/// kRows rows with kParts strips from `column` on, two k at a time.
/// @tparam kAsks  for the memory ahead
template <int64_t kRows, int64_t kParts, bool kAsks = false>
LOOPBANK_DOTS_INLINE void multiply_dot_tile(const PanelProduct& p, int64_t row, int64_t column) {
  const auto* const x = static_cast<const uint16_t*>(p.x) + row * p.x_stride;
  const auto* weights = p.weights + column * kPairBytes;
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
  auto ahead = p.ahead;
  for (int64_t k = 0; k < p.depth; k += 2, weights += p.columns * kPairBytes) {
    if constexpr (kAsks) {
      ask_for_two_lines(ahead);
    }
    __m512i pairs[kParts];
#pragma GCC unroll 4
    for (int64_t part = 0; part < kParts; ++part) {
      pairs[part] = _mm512_loadu_si512(weights + part * 64);
    }
#pragma GCC unroll 8
    for (int64_t i = 0; i < kRows; ++i) {
      int two;
      std::memcpy(&two, x + i * p.x_stride + k, sizeof(two));
      const auto values = _mm512_set1_epi32(two);
#pragma GCC unroll 4
      for (int64_t part = 0; part < kParts; ++part) {
        sum[i][part] = _mm512_dpbf16_ps(sum[i][part], (__m512bh)values, (__m512bh)pairs[part]);
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

template <int64_t kRows>
__attribute__((noinline)) LOOPBANK_DOTS void multiply_dot_rows(const PanelProduct& p, int64_t row) {
  if (p.columns == kPanelColumns) {
    multiply_dot_tile<kRows, kDotPartsAtOnce>(p, row, 0);
    return;
  }
  for (int64_t column = 0; column < p.columns; column += kStripColumns) {
    multiply_dot_tile<kRows, 1>(p, row, column);
  }
}

/// One row with whole panels, one after the other without a call between, so that the CPU asks for
/// the next one's memory while it waits for the end of this one.
template <bool kAsks>
__attribute__((noinline)) LOOPBANK_DOTS void multiply_dot_row(const PanelProduct& p) {
  auto one = p;
  for (int64_t panel = 0; panel < p.panels; ++panel) {
    one.ahead = part_of(p.ahead, panel, p.panels);
    multiply_dot_tile<1, kDotPartsAtOnce, kAsks>(one, 0, 0);
    one.weights += p.panel_bytes;
    one.sums += kPanelColumns;
  }
}

LOOPBANK_DOTS void multiply_bf16_by_dots(const PanelProduct& p) {
  if (p.rows == 1 && p.columns == kPanelColumns) {
    p.ahead.begin < p.ahead.end ? multiply_dot_row<true>(p) : multiply_dot_row<false>(p);
    return;
  }
  // Blocks of nearly the same size: one of a single row would wait for its sums.
  const auto blocks = (p.rows + kDotRowsAtOnce - 1) / kDotRowsAtOnce;
  for (int64_t block = 0, row = 0; block < blocks; ++block) {
    const auto rows = (p.rows - row + blocks - block - 1) / (blocks - block);
    switch (rows) {
      case 1:
        multiply_dot_rows<1>(p, row);
        break;
      case 2:
        multiply_dot_rows<2>(p, row);
        break;
      case 3:
        multiply_dot_rows<3>(p, row);
        break;
      case 4:
        multiply_dot_rows<4>(p, row);
        break;
      case 5:
        multiply_dot_rows<5>(p, row);
        break;
      default:
        multiply_dot_rows<6>(p, row);
        break;
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
  kernels.bf16_dots = multiply_bf16_by_dots;
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
