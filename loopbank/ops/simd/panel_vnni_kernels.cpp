/// Products with a panel of codes (panel_codes.h) by the dot products of AVX-512 VNNI.

#include "loopbank/ops/simd/panel_codes-inl.h"

#if defined(__x86_64__) && defined(__linux__)

#include <immintrin.h>

#include <algorithm>

// GCC 12 warns of its own header: what an unmasked intrinsic leaves undefined it also never reads.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace loopbank::ops {
namespace {

#define LOOPBANK_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define LOOPBANK_VNNI_INLINE \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"), always_inline)) inline

/// Rows and registers of a row at a time. Three rows would fill the registers, and GCC 12 then
/// keeps sums in memory: 83 G multiply-adds a second for 97.
constexpr int64_t kVnniRows = 2;
constexpr int64_t kVnniParts = 4;
constexpr int64_t kAheadBytesPerGroup = 1024;

/// For every group, so that the loop over its steps stays as it is.
LOOPBANK_VNNI_INLINE void ask_ahead(MemoryAhead& ahead) {
  const auto* const end = std::min(ahead.end, ahead.begin + kAheadBytesPerGroup);
  for (; ahead.begin < end; ahead.begin += 64) {
    _mm_prefetch(ahead.begin, _MM_HINT_T1);
  }
}

/// Sums of a group: of the high digits and of the low ones, which hide each other's latency.
template <int64_t kRows, int64_t kParts>
struct VnniSums {
  __m512i high[kRows][kParts];
  __m512i low[kRows][kParts];
};

/// @param nibble  the half of each byte that holds the group's codes, in 4 bits
template <int64_t kBits, int64_t kRows, int64_t kParts>
LOOPBANK_VNNI_INLINE void add_step(VnniSums<kRows, kParts>& sums, const GroupOfRow (&x)[kRows],
                                   int64_t width, int64_t step, const char* codes, __m512i nibble) {
  __m512i weights[kParts];
#pragma GCC unroll 4
  for (int64_t part = 0; part < kParts; ++part) {
    weights[part] = _mm512_loadu_si512(codes + part * 64);
    if constexpr (kBits == 4) {
      weights[part] = _mm512_and_si512(weights[part], nibble);
    }
  }
#pragma GCC unroll 4
  for (int64_t i = 0; i < kRows; ++i) {
    const auto high = _mm512_set1_epi32(word_at(x[i].digits + step * kStepBytes));
    const auto low = _mm512_set1_epi32(word_at(x[i].digits + width + step * kStepBytes));
#pragma GCC unroll 4
    for (int64_t part = 0; part < kParts; ++part) {
      sums.high[i][part] = _mm512_dpbusd_epi32(sums.high[i][part], weights[part], high);
      sums.low[i][part] = _mm512_dpbusd_epi32(sums.low[i][part], weights[part], low);
    }
  }
}

/// @tparam kHalf  of the pair: 0 or 1, which the compiler shall know
template <int64_t kBits, int64_t kHalf, int64_t kRows, int64_t kParts>
LOOPBANK_VNNI_INLINE void add_group(VnniSums<kRows, kParts>& sums, const CodeProduct& p,
                                    const GroupOfRow (&x)[kRows], const char* codes) {
  const auto nibble = _mm512_set1_epi8(kHalf == 0 ? 0x0F : -0x10);
  const auto step_bytes = p.columns * kStepBytes;
  if constexpr (kRows == 1) {
    // Unrolled, each of many loads would have a stride of its own, which the prefetchers of the CPU
    // do not follow: Zen 4 then reads 22 GB/s from memory for 34 and 33 from L3 for 55.
#pragma GCC unroll 1
    for (int64_t step = 0; step < kGroupSteps; ++step) {
      add_step<kBits>(sums, x, p.width, step, codes + step * step_bytes, nibble);
    }
  } else {  // the panel is in a cache: 98 G multiply-adds a second for 86
#pragma GCC unroll 8
    for (int64_t step = 0; step < kGroupSteps; ++step) {
      add_step<kBits>(sums, x, p.width, step, codes + step * step_bytes, nibble);
    }
  }
}

/// Scales of a strip from a pair's words.
template <int64_t kHalf>
LOOPBANK_VNNI_INLINE __m512 scales_of_strip(const char* scales) {
  const auto words = _mm512_loadu_si512(scales);
  return _mm512_castsi512_ps(kHalf == 0 ? _mm512_slli_epi32(words, 16)
                                        : _mm512_and_si512(words, _mm512_set1_epi32(-65536)));
}

/// Where a tile stands: some rows with kParts strips from a column on. One row keeps its sums in
/// registers.
template <int64_t kRows, int64_t kParts>
struct VnniTile {
  static constexpr bool kKeeps = kRows == 1;
  int64_t row;
  int64_t column;
  float* sums;
  __m512 kept[kKeeps ? kParts : 1];
};

/// Adds the products of one group of 32 k from `k` on, in the half kHalf of its pair.
template <int64_t kBits, int64_t kHalf, int64_t kRows, int64_t kParts>
LOOPBANK_VNNI_INLINE void multiply_vnni_group(const CodeProduct& p, VnniTile<kRows, kParts>& tile,
                                              int64_t k) {
  const auto from = group_of_pair<kBits>(p, k / kPairInputs, kHalf);
  GroupOfRow x[kRows];
  VnniSums<kRows, kParts> group;
#pragma GCC unroll 4
  for (int64_t i = 0; i < kRows; ++i) {
    x[i] = group_of_row(p, tile.row + i, p.first + k, 1);
#pragma GCC unroll 4
    for (int64_t part = 0; part < kParts; ++part) {
      group.high[i][part] = _mm512_setzero_si512();
      group.low[i][part] = _mm512_set1_epi32(x[i].offset);
    }
  }
  add_group<kBits, kHalf>(group, p, x, from.codes + tile.column * kStepBytes);
  const bool add = p.add || k > 0;
#pragma GCC unroll 4
  for (int64_t part = 0; part < kParts; ++part) {
    const auto at = tile.column + part * kStripColumns;
    const auto scale = scales_of_strip<kHalf>(from.scales + at * kStepBytes);
#pragma GCC unroll 4
    for (int64_t i = 0; i < kRows; ++i) {
      const auto whole =
          _mm512_add_epi32(_mm512_slli_epi32(group.high[i][part], 8), group.low[i][part]);
      const auto value = _mm512_mul_ps(_mm512_cvtepi32_ps(whole), _mm512_set1_ps(x[i].step));
      if constexpr (VnniTile<kRows, kParts>::kKeeps) {
        tile.kept[part] = _mm512_fmadd_ps(scale, value, tile.kept[part]);
      } else {
        float* const to = tile.sums + i * kPanelColumns + part * kStripColumns;
        const auto before = add ? _mm512_loadu_ps(to) : _mm512_setzero_ps();
        _mm512_storeu_ps(to, _mm512_fmadd_ps(scale, value, before));
      }
    }
  }
}

/// @tparam kAsks  for the memory ahead
template <int64_t kBits, int64_t kRows, int64_t kParts, bool kAsks = false>
LOOPBANK_VNNI_INLINE void multiply_vnni_tile(const CodeProduct& p, int64_t row, int64_t column) {
  VnniTile<kRows, kParts> tile;
  tile.row = row;
  tile.column = column;
  tile.sums = p.sums + row * kPanelColumns + column;
  for (int64_t part = 0; tile.kKeeps && part < kParts; ++part) {
    tile.kept[part] =
        p.add ? _mm512_loadu_ps(tile.sums + part * kStripColumns) : _mm512_setzero_ps();
  }
  auto ahead = p.ahead;
  for (int64_t k = 0; k < p.depth; k += kPairInputs) {
    if constexpr (kAsks) {
      ask_ahead(ahead);
    }
    multiply_vnni_group<kBits, 0>(p, tile, k);
    if constexpr (kAsks) {
      ask_ahead(ahead);
    }
    multiply_vnni_group<kBits, 1>(p, tile, k + kGroupInputs);
  }
  for (int64_t part = 0; tile.kKeeps && part < kParts; ++part) {
    _mm512_storeu_ps(tile.sums + part * kStripColumns, tile.kept[part]);
  }
}

template <int64_t kBits, int64_t kRows>
__attribute__((noinline)) LOOPBANK_VNNI void multiply_vnni_rows(const CodeProduct& p, int64_t row) {
  if (p.columns == kPanelColumns) {
    multiply_vnni_tile<kBits, kRows, kVnniParts>(p, row, 0);
    return;
  }
  for (int64_t column = 0; column < p.columns; column += kStripColumns) {
    multiply_vnni_tile<kBits, kRows, 1>(p, row, column);
  }
}

/// One row with whole panels, one after the other without a call between, so that the CPU asks for
/// the next one's memory while it waits for the end of this one.
template <int64_t kBits, bool kAsks>
__attribute__((noinline)) LOOPBANK_VNNI void multiply_vnni_row(const CodeProduct& p) {
  auto one = p;
  for (int64_t panel = 0; panel < p.panels; ++panel) {
    one.ahead = part_of(p.ahead, panel, p.panels);
    multiply_vnni_tile<kBits, 1, kVnniParts, kAsks>(one, 0, 0);
    one.weights += p.panel_bytes;
    one.sums += kPanelColumns;
  }
}

template <int64_t kBits>
LOOPBANK_VNNI void multiply_by_vnni(const CodeProduct& p) {
  if (p.rows == 1 && p.columns == kPanelColumns) {
    p.ahead.begin < p.ahead.end ? multiply_vnni_row<kBits, true>(p)
                                : multiply_vnni_row<kBits, false>(p);
    return;
  }
  int64_t row = 0;
  for (; row + kVnniRows <= p.rows; row += kVnniRows) {
    multiply_vnni_rows<kBits, kVnniRows>(p, row);
  }
  if (row < p.rows) {
    multiply_vnni_rows<kBits, 1>(p, row);
  }
}

}  // namespace

bool take_vnni_code_kernels(CodeKernels& kernels) {
  if (__builtin_cpu_supports("avx512bw") == 0 || __builtin_cpu_supports("avx512vl") == 0 ||
      __builtin_cpu_supports("avx512vnni") == 0) {
    return false;
  }
  kernels = {multiply_by_vnni<8>, multiply_by_vnni<4>, CodedDigits::kBytes};
  return true;
}

}  // namespace loopbank::ops

#else

namespace loopbank::ops {

bool take_vnni_code_kernels(CodeKernels&) {
  return false;
}

}  // namespace loopbank::ops

#endif
