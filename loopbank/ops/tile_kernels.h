#pragma once
/// The tile unit's own instructions (Intel AMX): factors brought into tiles, a block of 32 x 32
/// sums over two tiles of rows and two of columns, sums written out. Free of ATen; empty shells on
/// other CPUs, where request_tiles() is false.

#include <cstdint>

namespace loopbank::ops {

constexpr int64_t kTileRows = 16;   ///< rows of a tile of the left factor, columns of the right
constexpr int64_t kTileDepth = 32;  ///< values of K in a tile
constexpr int64_t kTileValues = kTileRows * kTileDepth;
constexpr int64_t kBlockSide = 2 * kTileRows;  ///< rows and columns of a block of sums

/// Whether the CPU has tiles of bf16; asks the system once for leave to use them.
[[nodiscard]] bool request_tiles();

/// All tiles of this thread at their full size, before multiply_block.
void configure_tiles();
/// Gives the unit's state back.
void release_tiles();

/// Values of a factor in memory: `lines` of them `stride` values apart, each `length` long.
struct Lines {
  const uint16_t* data = nullptr;
  int64_t stride = 0;
  int64_t lines = 0;
  int64_t length = 0;
};

// A tile of the left factor holds 16 lines along K as they are, [16][32]; one of the right factor
// pairs of K of 16 columns, [16][16][2], which is the left one's transpose in units of pairs. What
// is missing of 16 lines or 32 values is 0.

/// From up to 16 lines along K: a row-major left factor, a column-major right one.
void left_tile_along(const Lines& lines, uint16_t* tile);
void right_tile_along(const Lines& lines, uint16_t* tile);
/// From up to 32 lines across K, up to 16 values each: a column-major left factor, a row-major
/// right one.
void left_tile_across(const Lines& lines, uint16_t* tile);
void right_tile_across(const Lines& lines, uint16_t* tile);

/// sums [32, 32] = left right, or += with `add`.
/// @param left, right  two panels of `tiles` tiles along K, one behind the other
/// @param stride       values from a row of sums to the next
void multiply_block(const uint16_t* left, const uint16_t* right, int64_t tiles, float* sums,
                    int64_t stride, bool add);

/// Part of a result: `rows` rows of `columns` values, at most 32 of each.
struct BlockOfResult {
  float* data = nullptr;
  int64_t stride = 0;  ///< values from a row to the next
  int64_t rows = 0;
  int64_t columns = 0;
};

/// Dense sums [32, 32] to their place, or added to what is there with `add`.
void store_block(const float* sums, const BlockOfResult& to, bool add);

/// sums [32, 32] become their transpose.
void transpose_block(float* sums);

}  // namespace loopbank::ops
