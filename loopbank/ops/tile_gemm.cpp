#include "loopbank/ops/tile_gemm.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdlib>

#include "loopbank/ops/kernels.h"
#include "loopbank/ops/scratchpad.h"
#include "loopbank/support/rounding.h"

namespace loopbank::ops {
namespace {

// The right factor's part stays in the second-level cache, the left one's panel in the first.
constexpr int64_t kDepthAtATime = 512;
constexpr int64_t kDeepest = 2048;  // where the sums cannot be taken up again, in bf16
constexpr int64_t kRowsAtATime = 128;
constexpr int64_t kColumnBytes = int64_t{3} << 18U;
// A thread woken for fewer blocks of sums, over a block's side of K each, costs more than it does.
constexpr int64_t kBlocksPerThread = 128;

/// The tile of x [lines, K] that begins at `line` and at `k`.
void lay_out_tile(const Matrix& x, int64_t line, int64_t k, const TileLayout& layout,
                  uint16_t* tile) {
  const auto lines = std::clamp<int64_t>(x.rows - line, 0, kTileRows);
  const auto depth = std::min(kTileDepth, x.columns - k);
  const auto* const at =
      static_cast<const uint16_t*>(x.data) + line * x.row_stride + k * x.column_stride;
  if (x.column_stride == 1) {
    layout.along({at, x.row_stride, lines, depth}, tile);
  } else {
    layout.across({at, x.column_stride, depth, lines}, tile);
  }
}

/// x [lines, K], a left factor or the transpose of a right one, as panels of 16 lines, an even
/// number of them; a panel's tiles follow each other along K. Memory is read as it runs.
void lay_out(const Matrix& x, const TileLayout& layout, uint16_t* to) {
  const auto panels = round_up(x.rows, kBlockSide) / kTileRows;
  const auto tiles = divide_up(x.columns, kTileDepth);
  const auto place = [&](int64_t panel, int64_t tile) {
    lay_out_tile(x, panel * kTileRows, tile * kTileDepth, layout,
                 to + (panel * tiles + tile) * kTileValues);
  };
  if (x.column_stride == 1) {
    for (int64_t panel = 0; panel < panels; ++panel) {
      for (int64_t tile = 0; tile < tiles; ++tile) {
        place(panel, tile);
      }
    }
    return;
  }
  for (int64_t tile = 0; tile < tiles; ++tile) {
    for (int64_t panel = 0; panel < panels; ++panel) {
      place(panel, tile);
    }
  }
}

template <typename T>
BlockOfResult<T> block_of(const Matrix& c) {
  return {static_cast<T*>(c.data), c.row_stride, c.rows, c.columns};
}

/// A block of c from its tiles.
void multiply_into(const TileKernels& kernels, const uint16_t* left, const uint16_t* right,
                   int64_t tiles, const Matrix& c, bool add) {
  const bool is_whole = c.rows == kBlockSide && c.columns == kBlockSide;
  if (is_whole && c.column_stride == 1 && c.dtype == at::kFloat) {
    kernels.multiply_block(left, right, tiles, static_cast<float*>(c.data), c.row_stride, add);
    return;
  }
  alignas(64) float sums[kBlockSide * kBlockSide];
  kernels.multiply_block(left, right, tiles, sums, kBlockSide, /*add=*/false);
  const auto to = c.column_stride == 1 ? c : c.transposed();
  if (c.column_stride != 1) {
    transpose_block(sums);
  }
  if (c.dtype == at::kFloat) {
    store_block(sums, block_of<float>(to), add);
  } else {
    store_block(sums, block_of<uint16_t>(to));
  }
}

/// One thread's product, whose right factor fits the cache.
void multiply(const TileKernels& kernels, const Matrix& a, const Matrix& b, const Matrix& c,
              bool add) {
  const auto tiles = divide_up(a.columns, kTileDepth);
  const auto panel = tiles * kTileDepth;  // values of a row or column
  thread_local Scratchpad scratchpad;
  const auto rows_and_columns = kRowsAtATime + round_up(b.columns, kBlockSide);
  auto* const left = static_cast<uint16_t*>(
      scratchpad.of_size(static_cast<size_t>(panel * rows_and_columns) * sizeof(uint16_t)));
  auto* const right = left + panel * kRowsAtATime;
  lay_out(b.transposed(), kernels.right, right);
  for (int64_t first = 0; first < c.rows; first += kRowsAtATime) {
    const auto rows = std::min(kRowsAtATime, c.rows - first);
    lay_out(a.row_range(first, rows), kernels.left, left);
    for (int64_t row = 0; row < rows; row += kBlockSide) {
      const auto part = c.row_range(first + row, std::min(kBlockSide, rows - row));
      for (int64_t column = 0; column < c.columns; column += kBlockSide) {
        multiply_into(kernels, left + row * panel, right + column * panel, tiles,
                      part.column_range(column, std::min(kBlockSide, c.columns - column)), add);
      }
    }
  }
}

/// One thread's product, in parts of K and of columns.
void multiply_in_parts(const TileKernels& kernels, const Matrix& a, const Matrix& b,
                       const Matrix& c, bool accumulate) {
  const auto most = c.dtype == at::kFloat ? kDepthAtATime : a.columns;  // bf16 holds no sums
  const auto depth = equal_parts(a.columns, most, kTileDepth);
  const auto width = equal_parts(c.columns, kColumnBytes / (2 * depth), kBlockSide);
  kernels.begin();
  for (int64_t column = 0; column < c.columns; column += width) {
    const auto columns = std::min(width, c.columns - column);
    for (int64_t k = 0; k < a.columns; k += depth) {
      const auto part = std::min(depth, a.columns - k);
      multiply(kernels, a.column_range(k, part), b.row_range(k, part).column_range(column, columns),
               c.column_range(column, columns), accumulate || k > 0);
    }
  }
  kernels.end();
}

}  // namespace

const TileKernels* tile_kernels() {
  static const auto* const kernels = []() -> const TileKernels* {
    if (is_limited_to_avx2() || std::getenv("ONEDNN_MAX_CPU_ISA") != nullptr) {
      return nullptr;
    }
    const auto* const amx = amx_kernels();
    return amx != nullptr ? amx : avx512_kernels();
  }();
  return kernels;
}

bool takes_tile_gemm(const Matrix& a, const Matrix& /*b*/, const Matrix& c) {
  const auto* const kernels = tile_kernels();
  if (kernels == nullptr || a.dtype != at::kBFloat16) {
    return false;
  }
  if (c.dtype == at::kFloat && (a.column_stride != 1 || at::in_parallel_region())) {
    return true;
  }
  return c.rows >= kernels->fewest_rows && (c.dtype == at::kFloat || a.columns <= kDeepest);
}

void tile_gemm(const TileKernels& kernels, const Matrix& a, const Matrix& b, const Matrix& c,
               bool accumulate) {
  const bool by_rows = c.rows >= c.columns;
  const auto blocks = divide_up(by_rows ? c.rows : c.columns, kBlockSide);
  const auto others =
      divide_up(by_rows ? c.columns : c.rows, kBlockSide) * divide_up(a.columns, kBlockSide);
  const auto grain = std::max<int64_t>(1, kBlocksPerThread / others);
  at::parallel_for(0, blocks, grain, [&](int64_t from, int64_t to) {
    const auto first = from * kBlockSide;
    if (by_rows) {
      const auto rows = std::min(to * kBlockSide, c.rows) - first;
      multiply_in_parts(kernels, a.row_range(first, rows), b, c.row_range(first, rows), accumulate);
    } else {
      const auto columns = std::min(to * kBlockSide, c.columns) - first;
      multiply_in_parts(kernels, a, b.column_range(first, columns), c.column_range(first, columns),
                        accumulate);
    }
  });
}

}  // namespace loopbank::ops
