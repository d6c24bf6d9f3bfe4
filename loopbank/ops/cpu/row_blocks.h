#pragma once
/// Rows in blocks, each of which one thread takes through all steps of an op before the next: what
/// a step leaves is still in the thread's cache when the next one reads it.

#include <ATen/core/Tensor.h>
#include <c10/util/SmallVector.h>

#include <cstdint>
#include <functional>
#include <initializer_list>

#include "loopbank/ops/gemm.h"
#include "loopbank/ops/simd/elementwise_values.h"
#include "loopbank/support/rounding.h"

namespace loopbank::ops {

/// Below this many rows a thread has too few for matrix products of its own: generation.
inline constexpr int64_t kFewestRowsToBlock = 256;

struct RowBlocks {
  int64_t rows = 0;
  int64_t block = 0;  ///< rows at a time; fewer in the last

  /// For all rows [..., D] of x, divided among the available threads.
  explicit RowBlocks(const at::Tensor& x);

  [[nodiscard]] int64_t count() const { return divide_up(rows, block); }

  /// visit(index of a block, its first row, its rows), from all threads and without a graph.
  void for_each(const std::function<void(int64_t, int64_t, int64_t)>& visit) const;
};

/// Matrices [rows, columns] for each of `columns`, in memory of the calling thread that is theirs
/// until the next call with the same slot, 0 or 1.
[[nodiscard]] c10::SmallVector<Matrix, 4> thread_matrices(at::ScalarType dtype, int64_t rows,
                                                          std::initializer_list<int64_t> columns,
                                                          size_t slot = 0);

/// The values of a dense tensor [..., D] from row `row` and column `column` on.
[[nodiscard]] Values values_from(const at::Tensor& x, int64_t row, int64_t column = 0);

/// The same of a row-major matrix.
[[nodiscard]] Values values_of(const Matrix& x, int64_t column = 0);

}  // namespace loopbank::ops
