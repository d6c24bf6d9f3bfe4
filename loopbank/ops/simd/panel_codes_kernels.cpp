/// Products with a panel of codes (panel_codes.h) by AVX-512 VNNI, AVX2 and without either.

#include "loopbank/ops/simd/panel_codes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "loopbank/ops/simd/panel_kernels.h"

#if defined(__x86_64__) && defined(__linux__)
#define LOOPBANK_CODES_X86
#include <immintrin.h>

// GCC 12 warns of its own header: what an unmasked intrinsic leaves undefined it also never reads.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace loopbank::ops {
namespace {

constexpr int64_t kSteps = kGroupInputs / 4;  // of four k, a group's
constexpr int64_t kStepBytes = 4;             // of a column

/// Where the codes of a group of a pair stand.
struct GroupCodes {
  const char* scales;  // of the pair
  const char* codes;
  int64_t step_bytes;  // to the next four k
};

template <int64_t kBits>
inline int64_t pair_bytes(int64_t columns) {
  return columns * (kStepBytes + kPairInputs * kBits / 8);
}

template <int64_t kBits>
inline GroupCodes group_of_pair(const CodeProduct& p, int64_t pair, int64_t half) {
  const auto* const scales = p.weights + pair * pair_bytes<kBits>(p.columns);
  const auto* const codes = scales + p.columns * kStepBytes;
  return {scales, kBits == 8 ? codes + half * p.columns * kGroupInputs : codes,
          p.columns * kStepBytes};
}

/// The numbers of a row from a group on.
struct GroupOfRow {
  const char* digits;  // the low bytes stand `width` further on
  float step;
  int32_t offset;
};

inline GroupOfRow group_of_row(const CodeProduct& p, int64_t row, int64_t k, int64_t digit_bytes) {
  const auto* const from = p.x + row * p.x_bytes;
  const auto* const steps = from + 2 * p.width + k / kGroupInputs * kStepBytes;
  GroupOfRow group{.digits = from + k * digit_bytes, .step = 0.0F, .offset = 0};
  std::memcpy(&group.step, steps, sizeof(group.step));
  std::memcpy(&group.offset, steps + p.width / kGroupInputs * kStepBytes, sizeof(group.offset));
  return group;
}

inline int32_t word_at(const char* bytes) {
  int32_t word = 0;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

#ifdef LOOPBANK_CODES_X86

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
    for (int64_t step = 0; step < kSteps; ++step) {
      add_step<kBits>(sums, x, p.width, step, codes + step * step_bytes, nibble);
    }
  } else {  // not unrolled, GCC 12 keeps the sums in memory
#pragma GCC unroll 8
    for (int64_t step = 0; step < kSteps; ++step) {
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

#define LOOPBANK_AVX2 __attribute__((target("avx2,fma")))
#define LOOPBANK_AVX2_INLINE __attribute__((target("avx2,fma"), always_inline)) inline

constexpr int64_t kAvx2Rows = 2;
constexpr int64_t kAvx2Parts = 8;    // of one row: a panel, whose memory is then read as it lies
constexpr int64_t kAvx2Columns = 8;  // of a part

/// kRows rows with kParts parts from `column` on. Sums of words of 16 bits, two k at a time.
template <int64_t kBits, int64_t kRows, int64_t kParts>
LOOPBANK_AVX2_INLINE void multiply_avx2_tile(const CodeProduct& p, int64_t row, int64_t column) {
  const auto even_bytes = _mm256_set1_epi32(kBits == 8 ? 0x00FF00FF : 0x000F000F);
  float* const sums = p.sums + row * kPanelColumns + column;
  for (int64_t k = 0; k < p.depth; k += kGroupInputs) {
    const auto half = k / kGroupInputs % 2;
    const auto from = group_of_pair<kBits>(p, k / kPairInputs, half);
    const auto shift = _mm_cvtsi32_si128(kBits == 4 && half == 1 ? 4 : 0);
    GroupOfRow x[kRows];
    __m256i sum[kRows][kParts];
#pragma GCC unroll 2
    for (int64_t i = 0; i < kRows; ++i) {
      x[i] = group_of_row(p, row + i, p.first + k, 2);
#pragma GCC unroll 8
      for (int64_t part = 0; part < kParts; ++part) {
        sum[i][part] = _mm256_set1_epi32(x[i].offset);
      }
    }
    const auto* codes = from.codes + column * kStepBytes;
#pragma GCC unroll 1
    for (int64_t step = 0; step < kSteps; ++step, codes += from.step_bytes) {
#pragma GCC unroll 8
      for (int64_t part = 0; part < kParts; ++part) {
        auto raw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + part * 32));
        if constexpr (kBits == 4) {
          raw = _mm256_srl_epi32(raw, shift);
        }
        const auto even = _mm256_and_si256(raw, even_bytes);                       // k, k + 2
        const auto odd = _mm256_and_si256(_mm256_srli_epi16(raw, 8), even_bytes);  // k + 1, k + 3
#pragma GCC unroll 2
        for (int64_t i = 0; i < kRows; ++i) {
          const auto* const words = x[i].digits + step * 2 * kStepBytes;
          const auto at_even = _mm256_set1_epi32(word_at(words));
          const auto at_odd = _mm256_set1_epi32(word_at(words + kStepBytes));
          sum[i][part] = _mm256_add_epi32(sum[i][part], _mm256_madd_epi16(even, at_even));
          sum[i][part] = _mm256_add_epi32(sum[i][part], _mm256_madd_epi16(odd, at_odd));
        }
      }
    }
    const bool add = p.add || k > 0;
#pragma GCC unroll 8
    for (int64_t part = 0; part < kParts; ++part) {
      const auto at = column + part * kAvx2Columns;
      const auto words =
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from.scales + at * kStepBytes));
      const auto scale =
          _mm256_castsi256_ps(half == 0 ? _mm256_slli_epi32(words, 16)
                                        : _mm256_and_si256(words, _mm256_set1_epi32(-65536)));
#pragma GCC unroll 2
      for (int64_t i = 0; i < kRows; ++i) {
        const auto value =
            _mm256_mul_ps(_mm256_cvtepi32_ps(sum[i][part]), _mm256_set1_ps(x[i].step));
        float* const to = sums + i * kPanelColumns + part * kAvx2Columns;
        const auto before = add ? _mm256_loadu_ps(to) : _mm256_setzero_ps();
        _mm256_storeu_ps(to, _mm256_fmadd_ps(scale, value, before));
      }
    }
  }
}

template <int64_t kBits, int64_t kRows>
LOOPBANK_AVX2 void multiply_avx2_rows(const CodeProduct& p, int64_t row) {
  constexpr auto kParts = kAvx2Parts / kRows;
  int64_t column = 0;
  for (; column + kParts * kAvx2Columns <= p.columns; column += kParts * kAvx2Columns) {
    multiply_avx2_tile<kBits, kRows, kParts>(p, row, column);
  }
  for (; column < p.columns; column += kStripColumns) {
    multiply_avx2_tile<kBits, kRows, kStripColumns / kAvx2Columns>(p, row, column);
  }
}

template <int64_t kBits>
LOOPBANK_AVX2 void multiply_panel_by_avx2(const CodeProduct& p) {
  int64_t row = 0;
  for (; row + kAvx2Rows <= p.rows; row += kAvx2Rows) {
    multiply_avx2_rows<kBits, kAvx2Rows>(p, row);
  }
  if (row < p.rows) {
    multiply_avx2_rows<kBits, 1>(p, row);
  }
}

template <int64_t kBits>
void multiply_by_avx2(const CodeProduct& p) {
  for_each_panel(p, multiply_panel_by_avx2<kBits>);
}

#endif

/// The code of column and k % 4 of a step, as it is stored.
template <int64_t kBits>
inline int32_t stored_code(const char* step, int64_t byte, int64_t half) {
  const auto value = static_cast<unsigned char>(step[byte]);
  return kBits == 8 ? value : half == 0 ? value & 15 : value >> 4;
}

/// One row with one strip.
template <int64_t kBits>
void multiply_portable_strip(const CodeProduct& p, int64_t row, int64_t column) {
  float* const sums = p.sums + row * kPanelColumns + column;
  if (!p.add) {
    std::fill_n(sums, kStripColumns, 0.0F);
  }
  for (int64_t k = 0; k < p.depth; k += kGroupInputs) {
    const auto half = k / kGroupInputs % 2;
    const auto from = group_of_pair<kBits>(p, k / kPairInputs, half);
    const auto x = group_of_row(p, row, p.first + k, 2);
    std::array<int32_t, kStripColumns> sum;
    sum.fill(x.offset);
    const auto* codes = from.codes + column * kStepBytes;
    for (int64_t step = 0; step < kSteps; ++step, codes += from.step_bytes) {
      std::array<int16_t, 4> words;  // of k, k + 2, k + 1, k + 3
      std::memcpy(words.data(), x.digits + step * 2 * kStepBytes, sizeof(words));
      for (size_t c = 0; c < sum.size(); ++c) {
        const auto at = static_cast<int64_t>(c) * kStepBytes;
        sum[c] += stored_code<kBits>(codes, at, half) * words[0] +
                  stored_code<kBits>(codes, at + 1, half) * words[2] +
                  stored_code<kBits>(codes, at + 2, half) * words[1] +
                  stored_code<kBits>(codes, at + 3, half) * words[3];
      }
    }
    for (size_t c = 0; c < sum.size(); ++c) {
      const auto word = static_cast<uint32_t>(
          word_at(from.scales + (column + static_cast<int64_t>(c)) * kStepBytes));
      const auto scale = std::bit_cast<float>(half == 0 ? word << 16U : word & 0xFFFF0000U);
      sums[c] += scale * (static_cast<float>(sum[c]) * x.step);
    }
  }
}

template <int64_t kBits>
void multiply_portably(const CodeProduct& p) {
  for_each_panel(p, [](const CodeProduct& one) {
    for (int64_t column = 0; column < one.columns; column += kStripColumns) {
      for (int64_t row = 0; row < one.rows; ++row) {
        multiply_portable_strip<kBits>(one, row, column);
      }
    }
  });
}

}  // namespace

CodeKernels code_kernels_of_cpu([[maybe_unused]] CodeInstructions most) {
#ifdef LOOPBANK_CODES_X86
  if (most >= CodeInstructions::kAvx512Vnni && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512vnni") != 0) {
    return {multiply_by_vnni<8>, multiply_by_vnni<4>, CodedDigits::kBytes};
  }
  if (most >= CodeInstructions::kAvx2 && __builtin_cpu_supports("avx2") != 0 &&
      __builtin_cpu_supports("fma") != 0) {
    return {multiply_by_avx2<8>, multiply_by_avx2<4>, CodedDigits::kWords};
  }
#endif
  return {multiply_portably<8>, multiply_portably<4>, CodedDigits::kWords};
}

}  // namespace loopbank::ops
