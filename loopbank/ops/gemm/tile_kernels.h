#pragma once
/// Products of tiles by a CPU's own instructions for bf16, the tile unit (Intel AMX) or dot
/// products (AVX-512 BF16): factors brought into tiles, a block of 32 x 32 sums over two tiles of
/// rows and two of columns, sums written out. Free of ATen; empty shells on other CPUs.

#include <cstdint>

namespace loopbank::ops {

constexpr int64_t kTileRows = 16;   ///< rows of a tile of the left factor, columns of the right
constexpr int64_t kTileDepth = 32;  ///< values of K in a tile
constexpr int64_t kTileValues = kTileRows * kTileDepth;
constexpr int64_t kBlockSide = 2 * kTileRows;  ///< rows and columns of a block of sums

/// Values of a factor in memory: `lines` of them `stride` values apart, each `length` long.
struct Lines {
  const uint16_t* data = nullptr;
  int64_t stride = 0;
  int64_t lines = 0;
  int64_t length = 0;
};

/// How a factor comes into tiles. What is missing of 16 rows or columns or of 32 of K is 0.
struct TileLayout {
  /// From up to 16 lines along K: a row-major left factor, a column-major right one.
  void (*along)(const Lines& lines, uint16_t* tile) = nullptr;
  /// From up to 32 lines across K, up to 16 values each: a column-major left factor, a row-major
  /// right one.
  void (*across)(const Lines& lines, uint16_t* tile) = nullptr;
};

/// One kind of instructions.
struct TileKernels {
  TileLayout left, right;
  /// Products of at least so many rows are faster here than in oneDNN however their factors' memory
  /// runs; below, and with the tile unit always, those alone whose left factor runs across K.
  int64_t fewest_rows = 0;
  /// Around the products of a thread, which nothing else may interrupt.
  void (*begin)() = nullptr;
  void (*end)() = nullptr;
  /// sums [32, 32] = left right, or += with `add`.
  /// @param left, right  two panels of `tiles` tiles along K, one behind the other
  /// @param stride       values from a row of sums to the next
  void (*multiply_block)(const uint16_t* left, const uint16_t* right, int64_t tiles, float* sums,
                         int64_t stride, bool add) = nullptr;
};

/// The tile unit's; null where the CPU has none or the system does not let us use it.
[[nodiscard]] const TileKernels* amx_kernels();
/// Those of AVX-512 BF16; null where the CPU has none.
[[nodiscard]] const TileKernels* avx512_kernels();

/// Part of a result: `rows` rows of `columns` values, at most 32 of each.
template <typename T>
struct BlockOfResult {
  T* data = nullptr;
  int64_t stride = 0;  ///< values from a row to the next
  int64_t rows = 0;
  int64_t columns = 0;
};

/// Dense sums [32, 32] to their place, or added to what is there with `add`.
void store_block(const float* sums, const BlockOfResult<float>& to, bool add);
/// The same rounded to bf16.
void store_block(const float* sums, const BlockOfResult<uint16_t>& to);

/// sums [32, 32] become their transpose.
void transpose_block(float* sums);

}  // namespace loopbank::ops
