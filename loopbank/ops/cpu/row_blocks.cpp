#include "loopbank/ops/cpu/row_blocks.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>

#include "loopbank/ops/gemm/scratchpad.h"
#include "loopbank/support/rounding.h"

namespace loopbank::ops {
namespace {

constexpr int64_t kMostRowsPerBlock = 256;
constexpr int64_t kLine = 64;  // bytes

}  // namespace

RowBlocks::RowBlocks(const at::Tensor& x) : rows(x.numel() / x.size(-1)) {
  const int64_t threads = at::get_num_threads();
  block = std::min(kMostRowsPerBlock, divide_up(rows, threads));
}

void RowBlocks::for_each(const std::function<void(int64_t, int64_t, int64_t)>& visit) const {
  at::parallel_for(0, count(), /*grain_size=*/1, [&](int64_t index, int64_t end) {
    const at::NoGradGuard no_grad;
    for (; index < end; ++index) {
      visit(index, index * block, std::min(block, rows - index * block));
    }
  });
}

c10::SmallVector<Matrix, 4> thread_matrices(at::ScalarType dtype, int64_t rows,
                                            std::initializer_list<int64_t> columns, size_t slot) {
  thread_local std::array<Scratchpad, 2> scratchpads;
  const auto value_bytes = static_cast<int64_t>(c10::elementSize(dtype));
  const auto bytes_of = [&](int64_t wide) { return round_up(rows * wide * value_bytes, kLine); };
  int64_t total = 0;
  for (const auto wide : columns) {
    total += bytes_of(wide);
  }
  auto* at = static_cast<char*>(scratchpads.at(slot).of_size(static_cast<size_t>(total)));
  c10::SmallVector<Matrix, 4> matrices;
  for (const auto wide : columns) {
    matrices.push_back({at, dtype, rows, wide, wide});
    at += bytes_of(wide);
  }
  return matrices;
}

Values values_from(const at::Tensor& x, int64_t row, int64_t column) {
  const auto offset = row * x.size(-1) + column;
  return {static_cast<char*>(x.data_ptr()) + offset * static_cast<int64_t>(x.element_size()),
          x.scalar_type() == at::kBFloat16};
}

Values values_of(const Matrix& x, int64_t column) {
  return {x.column_range(column, 0).data, x.dtype == at::kBFloat16};
}

}  // namespace loopbank::ops
