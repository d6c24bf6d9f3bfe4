/// Products with a panel (panel_kernels.h) by the dot products of AVX-512 BF16. Codes of 8 and 4 bits
/// become bf16, which holds them exactly, by tables in registers.

#include "loopbank/ops/simd/panel_kernels.h"

#if defined(__x86_64__) && defined(__linux__)

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstring>

// GCC 12 warns of its own header: what an unmasked intrinsic leaves undefined it also never reads.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace loopbank::ops {
namespace {

#define LOOPBANK_DOTS __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16,avx512vbmi")))
#define LOOPBANK_DOTS_INLINE \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16,avx512vbmi"), always_inline)) inline

/// Rows and registers of a row at a time: as many sums as leave room for the weights.
constexpr int64_t kDotRowsAtOnce = 6;
constexpr int64_t kDotPartsAtOnce = 4;
/// From so many rows on codes are decoded once for all of them.
constexpr int64_t kFewestRowsToDecode = 2 * kDotRowsAtOnce;
/// Groups of codes decoded at a time, 64 KB of bf16.
constexpr int64_t kGroupsAtATime = 16;
constexpr int64_t kWordBytes = 4;  // of a column in what one load of weights brings

// A step of weights is a word of 32 bits a column: kPairs pairs of k.

/// Weights in bf16.
struct PairsOfBf16 {
  static constexpr int64_t kPairs = 1;
  LOOPBANK_DOTS_INLINE __m512i pair(__m512i raw, int64_t /*pair*/) const { return raw; }
};

/// Codes of 8 bits, a sign and a magnitude, which is the place in a table of bf16's lower bytes and
/// in one of the upper.
struct PairsOf8Bits {
  static constexpr int64_t kPairs = 2;
  __m512i lower[2];
  __m512i upper[2];

  LOOPBANK_DOTS_INLINE PairsOf8Bits() {
    alignas(64) std::array<uint8_t, 128> low{};
    alignas(64) std::array<uint8_t, 128> high{};
    for (size_t magnitude = 0; magnitude < low.size(); ++magnitude) {
      const auto value = static_cast<float>(magnitude);
      uint32_t bits = 0;
      std::memcpy(&bits, &value, sizeof(bits));
      low.at(magnitude) = static_cast<uint8_t>(bits >> 16U);
      high.at(magnitude) = static_cast<uint8_t>(bits >> 24U);
    }
    for (size_t half = 0; half < 2; ++half) {
      lower[half] = _mm512_load_si512(low.data() + 64 * half);
      upper[half] = _mm512_load_si512(high.data() + 64 * half);
    }
  }
  LOOPBANK_DOTS_INLINE __m512i pair(__m512i raw, int64_t pair) const {
    const auto low = _mm512_permutex2var_epi8(lower[0], raw, lower[1]);
    const auto magnitude = _mm512_permutex2var_epi8(upper[0], raw, upper[1]);
    const auto high =  // magnitude | (raw & 0x80)
        _mm512_ternarylogic_epi32(magnitude, raw, _mm512_set1_epi8(-128), 0xF8);
    return pair == 0 ? _mm512_unpacklo_epi8(low, high) : _mm512_unpackhi_epi8(low, high);
  }
};

/// Codes of 4 bits in two's complement. The look-up reads five bits of a word, so the table is there
/// twice.
struct PairsOf4Bits {
  static constexpr int64_t kPairs = 4;
  __m512i values;

  LOOPBANK_DOTS_INLINE PairsOf4Bits() {
    alignas(64) std::array<uint16_t, 32> table{};
    for (size_t code = 0; code < table.size(); ++code) {
      const auto value = static_cast<float>(static_cast<int>((code % 16) ^ 8U) - 8);
      uint32_t bits = 0;
      std::memcpy(&bits, &value, sizeof(bits));
      table.at(code) = static_cast<uint16_t>(bits >> 16U);
    }
    values = _mm512_load_si512(table.data());
  }
  LOOPBANK_DOTS_INLINE __m512i pair(__m512i raw, int64_t pair) const {
    return _mm512_permutexvar_epi16(_mm512_srli_epi32(raw, static_cast<unsigned>(4 * pair)),
                                    values);
  }
};

/// Where a tile of sums stands: some rows of x from the first k on and some columns of weights.
template <typename X>
struct Tile {
  const X* x;
  int64_t x_stride;
  const char* weights;
  int64_t step_bytes;  // of weights
};

/// sum += values of two k times the pairs of weights, one k after the other.
LOOPBANK_DOTS_INLINE void add_pair(__m512& sum, __m512i values, __m512i weights) {
  sum = _mm512_dpbf16_ps(sum, (__m512bh)values, (__m512bh)weights);
}
LOOPBANK_DOTS_INLINE void add_pair(__m512& sum, const __m512 (&values)[2], __m512i weights) {
  const auto even = _mm512_castsi512_ps(_mm512_slli_epi32(weights, 16));
  const auto odd = _mm512_castsi512_ps(_mm512_and_si512(weights, _mm512_set1_epi32(-65536)));
  sum = _mm512_fmadd_ps(values[0], even, sum);
  sum = _mm512_fmadd_ps(values[1], odd, sum);
}

/// Adds the products of `depth` k to the sums.
template <int64_t kRows, int64_t kParts, typename X, typename Pairs>
LOOPBANK_DOTS_INLINE void add_steps(__m512 (&sum)[kRows][kParts], const Tile<X>& tile,
                                    const Pairs& pairs, int64_t depth) {
  const auto* from = tile.weights;
  for (int64_t k = 0; k < depth; k += 2 * Pairs::kPairs, from += tile.step_bytes) {
    __m512i raw[kParts];
#pragma GCC unroll 4
    for (int64_t part = 0; part < kParts; ++part) {
      raw[part] = _mm512_loadu_si512(from + part * 64);
    }
#pragma GCC unroll 4
    for (int64_t pair = 0; pair < Pairs::kPairs; ++pair) {
      __m512i weights[kParts];
#pragma GCC unroll 4
      for (int64_t part = 0; part < kParts; ++part) {
        weights[part] = pairs.pair(raw[part], pair);
      }
#pragma GCC unroll 8
      for (int64_t i = 0; i < kRows; ++i) {
        const auto* const x = tile.x + i * tile.x_stride + k + 2 * pair;
        if constexpr (sizeof(X) == sizeof(uint16_t)) {
          int two;
          std::memcpy(&two, x, sizeof(two));
          const auto values = _mm512_set1_epi32(two);
#pragma GCC unroll 4
          for (int64_t part = 0; part < kParts; ++part) {
            add_pair(sum[i][part], values, weights[part]);
          }
        } else {
          const __m512 values[2] = {_mm512_set1_ps(x[0]), _mm512_set1_ps(x[1])};
#pragma GCC unroll 4
          for (int64_t part = 0; part < kParts; ++part) {
            add_pair(sum[i][part], values, weights[part]);
          }
        }
      }
    }
  }
}

/// Sums of bf16 weights: carried from one depth to the next.
struct CarriedSums {
  template <int64_t kRows, int64_t kParts>
  LOOPBANK_DOTS_INLINE void operator()(const PanelProduct& p, int64_t row, int64_t column) const {
    const Tile<uint16_t> tile{static_cast<const uint16_t*>(p.x) + row * p.x_stride, p.x_stride,
                              static_cast<const char*>(p.weights) + column * kWordBytes,
                              p.columns * kWordBytes};
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
    add_steps(sum, tile, PairsOfBf16(), p.depth);
#pragma GCC unroll 8
    for (int64_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (int64_t part = 0; part < kParts; ++part) {
        _mm512_storeu_ps(sums + i * kPanelColumns + part * kStripColumns, sum[i][part]);
      }
    }
  }
};

/// Scales of a strip from bf16.
LOOPBANK_DOTS_INLINE __m512 load_scales(const char* scales, int64_t column) {
  const auto* const from =
      reinterpret_cast<const __m256i*>(scales + column * static_cast<int64_t>(sizeof(uint16_t)));
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(from)), 16));
}

/// Sums of codes: a group's by itself, then sums += scale * it.
template <typename X, typename Pairs>
struct GroupedSums {
  Pairs pairs;
  const char* codes;     // of the first group
  int64_t group_stride;  // bytes from the codes of a group to the next
  const char* scales;
  int64_t scale_stride;

  template <int64_t kRows, int64_t kParts>
  LOOPBANK_DOTS_INLINE void operator()(const PanelProduct& p, int64_t row, int64_t column) const {
    Tile<X> tile{static_cast<const X*>(p.x) + row * p.x_stride, p.x_stride,
                 codes + column * kWordBytes, p.columns * kWordBytes};
    float* const sums = p.sums + row * kPanelColumns + column;
    const auto groups = p.depth / kCodesPerGroup;
    for (int64_t group = 0; group < groups; ++group) {
      __m512 sum[kRows][kParts];
#pragma GCC unroll 8
      for (int64_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
        for (int64_t part = 0; part < kParts; ++part) {
          sum[i][part] = _mm512_setzero_ps();
        }
      }
      add_steps(sum, tile, pairs, kCodesPerGroup);
      const bool add = p.add || group > 0;
#pragma GCC unroll 4
      for (int64_t part = 0; part < kParts; ++part) {
        const auto scale =
            load_scales(scales + group * scale_stride, column + part * kStripColumns);
#pragma GCC unroll 8
        for (int64_t i = 0; i < kRows; ++i) {
          float* const at = sums + i * kPanelColumns + part * kStripColumns;
          const auto before = add ? _mm512_loadu_ps(at) : _mm512_setzero_ps();
          _mm512_storeu_ps(at, _mm512_fmadd_ps(scale, sum[i][part], before));
        }
      }
      tile.x += kCodesPerGroup;
      tile.weights += group_stride;
    }
  }
};

template <int64_t kRows, typename Sums>
LOOPBANK_DOTS void multiply_dot_rows(const PanelProduct& p, const Sums& sums, int64_t row) {
  if (p.columns == kPanelColumns) {
    sums.template operator()<kRows, kDotPartsAtOnce>(p, row, 0);
    return;
  }
  for (int64_t column = 0; column < p.columns; column += kStripColumns) {
    sums.template operator()<kRows, 1>(p, row, column);
  }
}

template <typename Sums>
LOOPBANK_DOTS void multiply_all_dot_rows(const PanelProduct& p, const Sums& sums) {
  const auto blocks = (p.rows + kDotRowsAtOnce - 1) / kDotRowsAtOnce;
  for (int64_t block = 0, row = 0; block < blocks; ++block) {
    const auto rows = (p.rows - row + blocks - block - 1) / (blocks - block);
    switch (rows) {
      case 1:
        multiply_dot_rows<1>(p, sums, row);
        break;
      case 2:
        multiply_dot_rows<2>(p, sums, row);
        break;
      case 3:
        multiply_dot_rows<3>(p, sums, row);
        break;
      case 4:
        multiply_dot_rows<4>(p, sums, row);
        break;
      case 5:
        multiply_dot_rows<5>(p, sums, row);
        break;
      default:
        multiply_dot_rows<6>(p, sums, row);
        break;
    }
    row += rows;
  }
}

LOOPBANK_DOTS void multiply_bf16_by_dots(const PanelProduct& p) {
  multiply_all_dot_rows(p, CarriedSums());
}

/// The codes of a group in bf16, as a panel of bf16 has them.
template <typename Pairs>
LOOPBANK_DOTS void decode_group(const Pairs& pairs, const char* codes, int64_t columns,
                                char* decoded) {
  const auto step_bytes = columns * kWordBytes;
  constexpr auto kSteps = kCodesPerGroup / (2 * Pairs::kPairs);
  for (int64_t step = 0; step < kSteps; ++step) {
    for (int64_t at = 0; at < step_bytes; at += 64) {
      const auto raw = _mm512_loadu_si512(codes + step * step_bytes + at);
#pragma GCC unroll 4
      for (int64_t pair = 0; pair < Pairs::kPairs; ++pair) {
        _mm512_store_si512(decoded + (step * Pairs::kPairs + pair) * step_bytes + at,
                           pairs.pair(raw, pair));
      }
    }
  }
}

template <typename X, typename Pairs>
LOOPBANK_DOTS void multiply_codes(const PanelProduct& p) {
  alignas(64) thread_local char
      decoded[kGroupsAtATime * kCodesPerGroup * kPanelColumns * sizeof(uint16_t)];
  const auto scale_bytes = p.columns * static_cast<int64_t>(sizeof(uint16_t));
  const auto code_bytes = p.columns * kCodesPerGroup / (2 * Pairs::kPairs) * kWordBytes;
  const auto group_bytes = scale_bytes + code_bytes;
  const auto* const panel = static_cast<const char*>(p.weights);
  const Pairs pairs;
  if (p.rows < kFewestRowsToDecode) {
    multiply_all_dot_rows(
        p, GroupedSums<X, Pairs>{pairs, panel + scale_bytes, group_bytes, panel, group_bytes});
    return;
  }
  const auto decoded_bytes = p.columns * kCodesPerGroup * static_cast<int64_t>(sizeof(uint16_t));
  const auto groups = p.depth / kCodesPerGroup;
  for (int64_t first = 0; first < groups; first += kGroupsAtATime) {
    const auto count = std::min(kGroupsAtATime, groups - first);
    const auto* const from = panel + first * group_bytes;
    for (int64_t group = 0; group < count; ++group) {
      decode_group(pairs, from + group * group_bytes + scale_bytes, p.columns,
                   decoded + group * decoded_bytes);
    }
    auto part = p;
    part.x = static_cast<const X*>(p.x) + first * kCodesPerGroup;
    part.depth = count * kCodesPerGroup;
    part.add = p.add || first > 0;
    multiply_all_dot_rows(part, GroupedSums<X, PairsOfBf16>{PairsOfBf16(), decoded, decoded_bytes,
                                                            from, group_bytes});
  }
}

}  // namespace

bool take_dot_panel_kernels(PanelKernels& kernels) {
  if (__builtin_cpu_supports("avx512bw") == 0 || __builtin_cpu_supports("avx512vl") == 0 ||
      __builtin_cpu_supports("avx512vbmi") == 0 || __builtin_cpu_supports("avx512bf16") == 0) {
    return false;
  }
  kernels.bf16_dots = multiply_bf16_by_dots;
  kernels.int8_dots = multiply_codes<uint16_t, PairsOf8Bits>;
  kernels.int4_dots = multiply_codes<uint16_t, PairsOf4Bits>;
  kernels.int8 = multiply_codes<float, PairsOf8Bits>;
  kernels.int4 = multiply_codes<float, PairsOf4Bits>;
  kernels.takes_sign_and_magnitude = true;
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
