#include "loopbank/ops/gemm/tile_gemm.h"

#include <ATen/Parallel.h>
#include <c10/util/SmallVector.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "loopbank/ops/gemm/scratchpad.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/support/rounding.h"

namespace loopbank::ops {
namespace {

// The right factor's part stays in the second-level cache, the left one's panel in the first.
constexpr int64_t kDepthAtATime = 512;
constexpr int64_t kDeepest = 2048;  // where the sums cannot be taken up again, in bf16
constexpr int64_t kPanelRowsAtATime = 128;
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

/// Rows of the left factor and of the result.
struct Rows {
  Matrix a, c;

  [[nodiscard]] int64_t blocks() const { return divide_up(c.rows, kBlockSide); }
};
using ManyRows = c10::SmallVector<Rows, 4>;

ManyRows rows_of(const Matrix& a, c10::ArrayRef<Matrix> results) {
  ManyRows all;
  int64_t first = 0;
  for (const auto& c : results) {
    all.push_back({a.row_range(first, c.rows), c});
    first += c.rows;
  }
  return all;
}

/// The blocks `from` to `to`, counted from the first rows to the last.
ManyRows block_range(const ManyRows& all, int64_t from, int64_t to) {
  ManyRows some;
  for (const auto& rows : all) {
    const auto first = std::max<int64_t>(0, from) * kBlockSide;
    const auto count = std::min(to * kBlockSide, rows.c.rows) - first;
    if (count > 0) {
      some.push_back({rows.a.row_range(first, count), rows.c.row_range(first, count)});
    }
    from -= rows.blocks();
    to -= rows.blocks();
  }
  return some;
}

/// The part of a product that columns `k` to `k + depth` of a and `column` to `column + columns` of
/// c have in it.
ManyRows part_of(const ManyRows& all, int64_t k, int64_t depth, int64_t column, int64_t columns) {
  ManyRows some;
  for (const auto& [a, c] : all) {
    some.push_back({a.column_range(k, depth), c.column_range(column, columns)});
  }
  return some;
}

/// One thread's product, whose right factor fits the cache.
void multiply(const TileKernels& kernels, const ManyRows& all, const Matrix& b, bool add) {
  const auto tiles = divide_up(b.rows, kTileDepth);
  const auto panel = tiles * kTileDepth;  // values of a row or column
  thread_local Scratchpad scratchpad;
  const auto rows_and_columns = kPanelRowsAtATime + round_up(b.columns, kBlockSide);
  auto* const left = static_cast<uint16_t*>(
      scratchpad.of_size(static_cast<size_t>(panel * rows_and_columns) * sizeof(uint16_t)));
  auto* const right = left + panel * kPanelRowsAtATime;
  lay_out(b.transposed(), kernels.right, right);
  for (const auto& [a, c] : all) {
    for (int64_t first = 0; first < c.rows; first += kPanelRowsAtATime) {
      const auto rows = std::min(kPanelRowsAtATime, c.rows - first);
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
}

/// One thread's product, in parts of K and of columns.
void multiply_in_parts(const TileKernels& kernels, const ManyRows& all, const Matrix& b,
                       bool accumulate) {
  // bf16 holds no sums.
  const auto most = all.front().c.dtype == at::kFloat ? kDepthAtATime : b.rows;
  const auto depth = equal_parts(b.rows, most, kTileDepth);
  const auto width = equal_parts(b.columns, kColumnBytes / (2 * depth), kBlockSide);
  kernels.begin();
  for (int64_t column = 0; column < b.columns; column += width) {
    const auto columns = std::min(width, b.columns - column);
    for (int64_t k = 0; k < b.rows; k += depth) {
      const auto part = std::min(depth, b.rows - k);
      multiply(kernels, part_of(all, k, part, column, columns),
               b.row_range(k, part).column_range(column, columns), accumulate || k > 0);
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

void tile_gemm(const TileKernels& kernels, const Matrix& a, const Matrix& b,
               c10::ArrayRef<Matrix> results, bool accumulate) {
  const auto all = rows_of(a, results);
  const auto row_blocks =
      std::accumulate(all.begin(), all.end(), int64_t{0},
                      [](int64_t sum, const Rows& rows) { return sum + rows.blocks(); });
  const auto column_blocks = divide_up(b.columns, kBlockSide);
  const bool by_rows = a.rows >= b.columns;
  const auto blocks = by_rows ? row_blocks : column_blocks;
  const auto others = (by_rows ? column_blocks : row_blocks) * divide_up(b.rows, kBlockSide);
  const auto grain = std::max<int64_t>(1, kBlocksPerThread / others);
  at::parallel_for(0, blocks, grain, [&](int64_t from, int64_t to) {
    if (by_rows) {
      multiply_in_parts(kernels, block_range(all, from, to), b, accumulate);
      return;
    }
    const auto first = from * kBlockSide;
    const auto columns = std::min(to * kBlockSide, b.columns) - first;
    multiply_in_parts(kernels, part_of(all, 0, b.rows, first, columns),
                      b.column_range(first, columns), accumulate);
  });
}

}  // namespace loopbank::ops
