#include "loopbank/ops/cpu/row_blocks.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>

namespace loopbank::ops {
namespace {

TEST(RowBlocks, AreAllRowsOnce) {
  const int before = at::get_num_threads();
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    for (const int64_t rows : {1, 2, 255, 256, 257, 512, 1037}) {
      const RowBlocks blocks(at::zeros({1, rows, 3}));
      std::mutex mutex;
      std::vector<int> visits(static_cast<size_t>(rows), 0);
      std::vector<int> indices(static_cast<size_t>(blocks.count()), 0);
      blocks.for_each([&](int64_t index, int64_t first, int64_t count) {
        const std::lock_guard lock(mutex);
        ++indices.at(static_cast<size_t>(index));
        for (int64_t row = first; row < first + count; ++row) {
          ++visits.at(static_cast<size_t>(row));
        }
      });
      EXPECT_EQ(std::count(visits.begin(), visits.end(), 1), rows);
      EXPECT_EQ(std::count(indices.begin(), indices.end(), 1), blocks.count());
    }
  }
  at::set_num_threads(before);
}

TEST(RowBlocks, GiveEveryThreadSome) {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  EXPECT_EQ(RowBlocks(at::zeros({256, 3})).count(), 2);
  at::set_num_threads(before);
}

TEST(ThreadMatrices, LieApart) {
  const auto matrices = thread_matrices(at::kBFloat16, 5, {3, 64, 1});
  ASSERT_EQ(matrices.size(), 3);
  for (size_t i = 0; i < matrices.size(); ++i) {
    std::fill_n(static_cast<at::BFloat16*>(matrices[i].data),
                matrices[i].rows * matrices[i].columns, static_cast<float>(i));
  }
  for (size_t i = 0; i < matrices.size(); ++i) {
    EXPECT_EQ(matrices[i].rows, 5);
    EXPECT_EQ(matrices[i].row_stride, matrices[i].columns);
    const auto* const values = static_cast<const at::BFloat16*>(matrices[i].data);
    EXPECT_EQ(std::count(values, values + 5 * matrices[i].columns, static_cast<float>(i)),
              5 * matrices[i].columns);
  }
}

TEST(ValuesFrom, BeginAtARowAndAColumn) {
  const auto x = at::arange(24, at::kFloat).reshape({2, 3, 4});
  EXPECT_EQ(*static_cast<const float*>(values_from(x, 4, 2).data), 18.0F);
  EXPECT_EQ(*static_cast<const float*>(values_of(as_matrix(x), 3).data), 3.0F);
  EXPECT_TRUE(values_from(x.to(at::kBFloat16), 0).is_bf16);
}

}  // namespace
}  // namespace loopbank::ops
