/// Products with a panel of codes (panel_codes.h) by AVX2 and without it.

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "loopbank/ops/simd/panel_codes-inl.h"

#if defined(__x86_64__) && defined(__linux__)
#define LOOPBANK_CODES_X86
#include <immintrin.h>

// GCC 12 warns of its own header: what an unmasked intrinsic leaves undefined it also never reads.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace loopbank::ops {
namespace {

#ifdef LOOPBANK_CODES_X86

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
    for (int64_t step = 0; step < kGroupSteps; ++step, codes += from.step_bytes) {
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
    for (int64_t step = 0; step < kGroupSteps; ++step, codes += from.step_bytes) {
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

CodeKernels code_kernels_of_cpu(CodeInstructions most) {
  CodeKernels kernels;
  if (most >= CodeInstructions::kAvx512Vnni && take_vnni_code_kernels(kernels)) {
    return kernels;
  }
#ifdef LOOPBANK_CODES_X86
  if (most >= CodeInstructions::kAvx2 && __builtin_cpu_supports("avx2") != 0 &&
      __builtin_cpu_supports("fma") != 0) {
    return {multiply_by_avx2<8>, multiply_by_avx2<4>, CodedDigits::kWords};
  }
#endif
  return {multiply_portably<8>, multiply_portably<4>, CodedDigits::kWords};
}

}  // namespace loopbank::ops
