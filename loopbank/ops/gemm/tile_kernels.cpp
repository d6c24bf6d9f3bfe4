#include "loopbank/ops/gemm/tile_kernels.h"

#if defined(__x86_64__) && defined(__linux__)

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>

// GCC 12 warns of its own header: what an unmasked intrinsic leaves undefined it also never reads.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace loopbank::ops {
namespace {

#define LOOPBANK_VECTORS __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define LOOPBANK_TILES \
  __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512bf16")))

constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM of Linux's arch_prctl
constexpr int kTileData = 18;               // the state component of the tiles
constexpr unsigned kHasTilesOfBf16 = (1U << 22U) | (1U << 24U);  // cpuid 7, edx: AMX-BF16, AMX-TILE
constexpr int kRowBytes = 64;

/// What ldtilecfg reads.
struct TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileShapes) == 64);

/// The first `count` of 32 lanes, or of 16.
LOOPBANK_VECTORS inline __mmask32 first_of_32(int64_t count) {
  return count >= 32 ? ~__mmask32{0} : (__mmask32{1} << count) - 1;
}
LOOPBANK_VECTORS inline __mmask16 first_of_16(int64_t count) {
  return count >= 16 ? static_cast<__mmask16>(0xFFFF)
                     : static_cast<__mmask16>((1U << static_cast<unsigned>(count)) - 1U);
}

/// Rows of 32 values of up to 16 lines; those that are missing are 0.
LOOPBANK_VECTORS inline void load_along(const Lines& x, __m512i rows[16]) {
  const auto mask = first_of_32(x.length);
  for (int64_t i = 0; i < 16; ++i) {
    rows[i] = i < x.lines ? _mm512_maskz_loadu_epi16(mask, x.data + i * x.stride)
                          : _mm512_setzero_si512();
  }
}

/// The same of 16 whole lines.
LOOPBANK_VECTORS inline void load_whole_along(const Lines& x, __m512i rows[16]) {
#pragma GCC unroll 16
  for (int64_t i = 0; i < 16; ++i) {
    rows[i] = _mm512_loadu_si512(x.data + i * x.stride);
  }
}

/// The values of two lines of 16 side by side.
LOOPBANK_VECTORS inline __m512i pairs_of(__m256i even, __m256i odd) {
  const auto places = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
                                       23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(places, _mm512_inserti64x4(_mm512_castsi256_si512(even), odd, 1));
}

/// Rows of 16 pairs out of up to 32 lines: the values of two neighbouring lines side by side.
LOOPBANK_VECTORS inline void load_across(const Lines& x, __m512i rows[16]) {
  const auto mask = first_of_16(x.length);
  for (int64_t i = 0; i < 16; ++i) {
    const auto* const even = x.data + 2 * i * x.stride;
    rows[i] =
        pairs_of(2 * i < x.lines ? _mm256_maskz_loadu_epi16(mask, even) : _mm256_setzero_si256(),
                 2 * i + 1 < x.lines ? _mm256_maskz_loadu_epi16(mask, even + x.stride)
                                     : _mm256_setzero_si256());
  }
}

/// The same of 32 whole lines; asks for the 32 that follow, the next tile along K.
LOOPBANK_VECTORS inline void load_whole_across(const Lines& x, __m512i rows[16]) {
#pragma GCC unroll 16
  for (int64_t i = 0; i < 16; ++i) {
    const auto* const even = x.data + 2 * i * x.stride;
    const auto* const odd = even + x.stride;
    rows[i] = pairs_of(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(even)),
                       _mm256_loadu_si256(reinterpret_cast<const __m256i*>(odd)));
    _mm_prefetch(reinterpret_cast<const char*>(even + kTileDepth * x.stride), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(odd + kTileDepth * x.stride), _MM_HINT_T0);
  }
}

LOOPBANK_VECTORS inline void store_tile(const __m512i rows[16], uint16_t* tile) {
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    _mm512_store_si512(tile + i * kTileDepth, rows[i]);
  }
}

/// The transpose of 16 x 16 values of 32 bits.
LOOPBANK_VECTORS inline void transpose(__m512i r[16]) {
  __m512i t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  // Of rows 4 k to 4 k + 3, r[4 k + j] now holds columns j, j + 4, j + 8 and j + 12.
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const auto low_even = _mm512_shuffle_i32x4(r[j], r[j + 4], 0x88);
    const auto low_odd = _mm512_shuffle_i32x4(r[j], r[j + 4], 0xDD);
    const auto high_even = _mm512_shuffle_i32x4(r[j + 8], r[j + 12], 0x88);
    const auto high_odd = _mm512_shuffle_i32x4(r[j + 8], r[j + 12], 0xDD);
    t[j] = _mm512_shuffle_i32x4(low_even, high_even, 0x88);
    t[j + 4] = _mm512_shuffle_i32x4(low_odd, high_odd, 0x88);
    t[j + 8] = _mm512_shuffle_i32x4(low_even, high_even, 0xDD);
    t[j + 12] = _mm512_shuffle_i32x4(low_odd, high_odd, 0xDD);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    r[i] = t[i];
  }
}

// A tile holds 16 lines along K as they are, [16][32], or pairs of K of 16 lines, [16][16][2], the
// transpose of it in units of pairs. The unit takes the first on its left and the second on its
// right; for dot products both are pairs.

/// A tile of lines along K, or its transpose.
template <bool kTransposed>
LOOPBANK_VECTORS void tile_along(const Lines& x, uint16_t* tile) {
  __m512i rows[16];
  if (x.lines >= kTileRows && x.length >= kTileDepth) {
    load_whole_along(x, rows);
  } else {
    load_along(x, rows);
  }
  if (kTransposed) {
    transpose(rows);
  }
  store_tile(rows, tile);
}

/// The same of lines across K.
template <bool kTransposed>
LOOPBANK_VECTORS void tile_across(const Lines& x, uint16_t* tile) {
  __m512i rows[16];
  if (x.lines >= kTileDepth && x.length >= kTileRows) {
    load_whole_across(x, rows);
  } else {
    load_across(x, rows);
  }
  if (kTransposed) {
    transpose(rows);
  }
  store_tile(rows, tile);
}

/// Asks the system for leave to use the tiles.
bool request_tiles() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 &&
         (edx & kHasTilesOfBf16) == kHasTilesOfBf16 &&
         ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

/// All tiles of this thread at their full size; oneDNN uses them as well, in shapes of its own.
LOOPBANK_TILES void configure_tiles() {
  TileShapes shapes;
  for (int tile = 0; tile < 8; ++tile) {
    shapes.row_bytes[tile] = kRowBytes;
    shapes.rows[tile] = static_cast<uint8_t>(kTileRows);
  }
  // Not _tile_loadconfig: GCC 12 takes it to read a pointer's width only and drops the rest.
  asm volatile("ldtilecfg %0" ::"m"(shapes));
}

LOOPBANK_TILES void release_tiles() {
  _tile_release();
}

LOOPBANK_TILES void multiply_on_tiles(const uint16_t* left, const uint16_t* right, int64_t tiles,
                                      float* sums, int64_t stride, bool add) {
  const auto* const lower = left + tiles * kTileValues;
  const auto* const farther = right + tiles * kTileValues;
  float* const below = sums + kTileRows * stride;
  const auto row_bytes = stride * static_cast<int64_t>(sizeof(float));
  if (add) {
    _tile_loadd(0, sums, row_bytes);
    _tile_loadd(1, sums + kTileRows, row_bytes);
    _tile_loadd(2, below, row_bytes);
    _tile_loadd(3, below + kTileRows, row_bytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t at = 0; at < tiles * kTileValues; at += kTileValues) {
    _tile_loadd(4, left + at, kRowBytes);
    _tile_loadd(6, right + at, kRowBytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, farther + at, kRowBytes);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, lower + at, kRowBytes);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums, row_bytes);
  _tile_stored(1, sums + kTileRows, row_bytes);
  _tile_stored(2, below, row_bytes);
  _tile_stored(3, below + kTileRows, row_bytes);
}

/// Rows of a block of sums at a time, two vectors each: enough sums to hide the latency of a dot
/// product, few enough for the registers.
constexpr int64_t kDotRows = 8;

LOOPBANK_VECTORS inline void multiply_rows_by_dots(const uint16_t* left, const uint16_t* right,
                                                   int64_t tiles, float* sums, int64_t stride,
                                                   bool add) {
  const auto* const farther = right + tiles * kTileValues;
  __m512 near[kDotRows];
  __m512 far[kDotRows];
#pragma GCC unroll 8
  for (int64_t i = 0; i < kDotRows; ++i) {
    near[i] = add ? _mm512_loadu_ps(sums + i * stride) : _mm512_setzero_ps();
    far[i] = add ? _mm512_loadu_ps(sums + i * stride + kTileRows) : _mm512_setzero_ps();
  }
  for (int64_t at = 0; at < tiles * kTileValues; at += 2 * kTileRows) {  // a pair of K
    const auto b_near = (__m512bh)_mm512_load_si512(right + at);
    const auto b_far = (__m512bh)_mm512_load_si512(farther + at);
#pragma GCC unroll 8
    for (int64_t i = 0; i < kDotRows; ++i) {
      int pair;
      std::memcpy(&pair, left + at + 2 * i, sizeof(pair));
      const auto a = (__m512bh)_mm512_set1_epi32(pair);
      near[i] = _mm512_dpbf16_ps(near[i], a, b_near);
      far[i] = _mm512_dpbf16_ps(far[i], a, b_far);
    }
  }
#pragma GCC unroll 8
  for (int64_t i = 0; i < kDotRows; ++i) {
    _mm512_storeu_ps(sums + i * stride, near[i]);
    _mm512_storeu_ps(sums + i * stride + kTileRows, far[i]);
  }
}

LOOPBANK_VECTORS void multiply_by_dots(const uint16_t* left, const uint16_t* right, int64_t tiles,
                                       float* sums, int64_t stride, bool add) {
  for (int64_t row = 0; row < kBlockSide; row += kDotRows) {
    const auto* const panel = left + row / kTileRows * tiles * kTileValues;
    multiply_rows_by_dots(panel + 2 * (row % kTileRows), right, tiles, sums + row * stride, stride,
                          add);
  }
}

bool has_dot_products() {
  return __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
         __builtin_cpu_supports("avx512bf16") != 0;
}

constexpr auto kNever = std::numeric_limits<int64_t>::max();
constexpr TileLayout kLines{tile_along<false>, tile_across<true>};
constexpr TileLayout kPairs{tile_along<true>, tile_across<false>};

}  // namespace

const TileKernels* amx_kernels() {
  static constexpr TileKernels kernels{.left = kLines,
                                       .right = kPairs,
                                       .fewest_rows = kNever,
                                       .begin = configure_tiles,
                                       .end = release_tiles,
                                       .multiply_block = multiply_on_tiles};
  static const bool has = has_dot_products() && request_tiles();
  return has ? &kernels : nullptr;
}

const TileKernels* avx512_kernels() {
  static constexpr TileKernels kernels{.left = kPairs,
                                       .right = kPairs,
                                       .fewest_rows = 128,
                                       .begin = [] {},
                                       .end = [] {},
                                       .multiply_block = multiply_by_dots};
  return has_dot_products() ? &kernels : nullptr;
}

LOOPBANK_VECTORS void store_block(const float* sums, const BlockOfResult<float>& to, bool add) {
  const auto near = first_of_16(to.columns);
  const auto far = first_of_16(std::max<int64_t>(to.columns - kTileRows, 0));
  auto* at = to.data;
  for (int64_t row = 0; row < to.rows; ++row, sums += kBlockSide, at += to.stride) {
    auto first = _mm512_load_ps(sums);
    auto second = _mm512_load_ps(sums + kTileRows);
    if (add) {
      first = _mm512_add_ps(first, _mm512_maskz_loadu_ps(near, at));
      second = _mm512_add_ps(second, _mm512_maskz_loadu_ps(far, at + kTileRows));
    }
    _mm512_mask_storeu_ps(at, near, first);
    _mm512_mask_storeu_ps(at + kTileRows, far, second);
  }
}

LOOPBANK_VECTORS void store_block(const float* sums, const BlockOfResult<uint16_t>& to) {
  const auto mask = first_of_32(to.columns);
  auto* at = to.data;
  for (int64_t row = 0; row < to.rows; ++row, sums += kBlockSide, at += to.stride) {
    const auto rounded =
        _mm512_cvtne2ps_pbh(_mm512_load_ps(sums + kTileRows), _mm512_load_ps(sums));
    _mm512_mask_storeu_epi16(at, mask, (__m512i)rounded);
  }
}

LOOPBANK_VECTORS void transpose_block(float* sums) {
  __m512i quarters[4][16];
  for (int64_t quarter = 0; quarter < 4; ++quarter) {
    const auto* const from =
        sums + (quarter / 2) * kTileRows * kBlockSide + quarter % 2 * kTileRows;
    for (int64_t i = 0; i < kTileRows; ++i) {
      quarters[quarter][i] = _mm512_load_si512(from + i * kBlockSide);
    }
    transpose(quarters[quarter]);
  }
  for (int64_t quarter = 0; quarter < 4; ++quarter) {
    auto* const to = sums + (quarter % 2) * kTileRows * kBlockSide + quarter / 2 * kTileRows;
    for (int64_t i = 0; i < kTileRows; ++i) {
      _mm512_store_si512(to + i * kBlockSide, quarters[quarter][i]);
    }
  }
}

}  // namespace loopbank::ops

#else

namespace loopbank::ops {

const TileKernels* amx_kernels() {
  return nullptr;
}
const TileKernels* avx512_kernels() {
  return nullptr;
}
void store_block(const float*, const BlockOfResult<float>&, bool) {}
void store_block(const float*, const BlockOfResult<uint16_t>&) {}
void transpose_block(float*) {}

}  // namespace loopbank::ops

#endif
