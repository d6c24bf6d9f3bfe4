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

constexpr int64_t kVnniRows = 3;
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

template <int64_t kBits, int64_t kRows, int64_t kParts>
LOOPBANK_VNNI_INLINE void add_group(VnniSums<kRows, kParts>& sums, const CodeProduct& p,
                                    const GroupOfRow (&x)[kRows], const char* codes, int64_t half) {
  const auto nibble = _mm512_set1_epi8(half == 0 ? 0x0F : -0x10);
  const auto step_bytes = p.columns * kStepBytes;
  if constexpr (kRows == 1) {
    // Unrolled, each of many loads would have a stride of its own, which the prefetchers of the CPU
    // do not follow: Zen 4 then reads 22 GB/s from memory for 34 and 33 from L3 for 55.
#pragma GCC unroll 1
    for (int64_t step = 0; step < kGroupSteps; ++step) {
      add_step<kBits>(sums, x, p.width, step, codes + step * step_bytes, nibble);
    }
  } else {  // not unrolled, GCC 12 keeps the sums in memory
#pragma GCC unroll 8
    for (int64_t step = 0; step < kGroupSteps; ++step) {
      add_step<kBits>(sums, x, p.width, step, codes + step * step_bytes, nibble);
    }
  }
}

/// Scales of a strip from a pair's words.
LOOPBANK_VNNI_INLINE __m512 scales_of_strip(const char* scales, int64_t half) {
  const auto words = _mm512_loadu_si512(scales);
  return _mm512_castsi512_ps(half == 0 ? _mm512_slli_epi32(words, 16)
                                       : _mm512_and_si512(words, _mm512_set1_epi32(-65536)));
}

/// kRows rows with kParts strips from `column` on. One row keeps its sums in registers.
/// @tparam kAsks  for the memory ahead
template <int64_t kBits, int64_t kRows, int64_t kParts, bool kAsks = false>
LOOPBANK_VNNI_INLINE void multiply_vnni_tile(const CodeProduct& p, int64_t row, int64_t column) {
  constexpr bool kKeeps = kRows == 1;
  float* const sums = p.sums + row * kPanelColumns + column;
  __m512 kept[kKeeps ? kParts : 1];
  for (int64_t part = 0; kKeeps && part < kParts; ++part) {
    kept[part] = p.add ? _mm512_loadu_ps(sums + part * kStripColumns) : _mm512_setzero_ps();
  }
  auto ahead = p.ahead;
  for (int64_t k = 0; k < p.depth; k += kGroupInputs) {
    const auto half = k / kGroupInputs % 2;
    const auto from = group_of_pair<kBits>(p, k / kPairInputs, half);
    GroupOfRow x[kRows];
    VnniSums<kRows, kParts> group;
#pragma GCC unroll 4
    for (int64_t i = 0; i < kRows; ++i) {
      x[i] = group_of_row(p, row + i, p.first + k, 1);
#pragma GCC unroll 4
      for (int64_t part = 0; part < kParts; ++part) {
        group.high[i][part] = _mm512_setzero_si512();
        group.low[i][part] = _mm512_set1_epi32(x[i].offset);
      }
    }
    if constexpr (kAsks) {
      ask_ahead(ahead);
    }
    if (kBits == 4 && half == 1) {
      add_group<kBits>(group, p, x, from.codes + column * kStepBytes, 1);
    } else {
      add_group<kBits>(group, p, x, from.codes + column * kStepBytes, 0);
    }
    const bool add = p.add || k > 0;
#pragma GCC unroll 4
    for (int64_t part = 0; part < kParts; ++part) {
      const auto at = column + part * kStripColumns;
      const auto scale = scales_of_strip(from.scales + at * kStepBytes, half);
#pragma GCC unroll 4
      for (int64_t i = 0; i < kRows; ++i) {
        const auto whole =
            _mm512_add_epi32(_mm512_slli_epi32(group.high[i][part], 8), group.low[i][part]);
        const auto value = _mm512_mul_ps(_mm512_cvtepi32_ps(whole), _mm512_set1_ps(x[i].step));
        if constexpr (kKeeps) {
          kept[part] = _mm512_fmadd_ps(scale, value, kept[part]);
        } else {
          float* const to = sums + i * kPanelColumns + part * kStripColumns;
          const auto before = add ? _mm512_loadu_ps(to) : _mm512_setzero_ps();
          _mm512_storeu_ps(to, _mm512_fmadd_ps(scale, value, before));
        }
      }
    }
  }
  for (int64_t part = 0; kKeeps && part < kParts; ++part) {
    _mm512_storeu_ps(sums + part * kStripColumns, kept[part]);
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
  if (p.rows - row == 2) {
    multiply_vnni_rows<kBits, 2>(p, row);
  } else if (p.rows - row == 1) {
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
