#include "loopbank/ops/gemm.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "exact_product.h"
#include "gradient_check.h"

namespace loopbank::ops {
namespace {

using testing::exact_product;
using testing::expect_close;
using testing::expect_error;
using testing::ProductSizes;
using testing::RandomTensors;

/// Sums of up to 200 products of standard normal values, in fp32 and once rounded.
constexpr double kGemmFp32 = 2e-5;
constexpr double kGemmBf16 = kOneRoundingToBf16 + kGemmFp32;

double tolerance_of(at::ScalarType type) {
  return type == at::kFloat ? kGemmFp32 : kGemmBf16;
}

constexpr ProductSizes kGemmShapes[] = {{1, 1, 1},    {1, 7, 3},     {7, 1, 9},   {5, 16, 1},
                                        {33, 17, 65}, {64, 200, 48}, {2, 3, 128}, {31, 64, 17}};

TEST(Gemm, IsTheProductInEveryLayoutDtypeAndSize) {
  RandomTensors random;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const auto [M, K, N] : kGemmShapes) {
      const auto a = random.normal({M, K}, dtype);
      const auto b = random.normal({K, N}, dtype);
      const auto a_columns = a.t().contiguous();  // [K, M]
      const auto b_columns = b.t().contiguous();  // [N, K]
      for (const auto out : {at::kFloat, dtype}) {
        for (const auto& left : {as_matrix(a), as_matrix(a_columns).transposed()}) {
          for (const auto& right : {as_matrix(b), as_matrix(b_columns).transposed()}) {
            const auto c = at::full({M, N}, std::nan(""), at::TensorOptions().dtype(out));
            gemm(left, right, as_matrix(c));
            expect_close(c, exact_product(a, b), tolerance_of(out));
          }
        }
      }
    }
  }
}

/// With AVX2 alone oneDNN makes its fp32 kernels by std::call_once, which a second oneDNN inside
/// LibTorch would answer with its own (ops/gemm/onednn.h). The limit is read once a process.
TEST(Gemm, IsTheProductWithTheKernelsForAvx2) {
  const auto program = std::filesystem::read_symlink("/proc/self/exe").string();
  const auto command = fmt::format(
      "ONEDNN_MAX_CPU_ISA=AVX2 '{}' --gtest_filter='Gemm.IsTheProductInEvery*' >&2", program);
  EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST(Gemm, AddsUpInFp32) {
  RandomTensors random;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto a = random.normal({9, 33}, dtype);
    const auto b = random.normal({33, 17}, dtype);
    const auto c = random.normal({9, 17}, at::kFloat);
    const auto expected = c.to(at::kDouble) + exact_product(a, b);
    gemm(as_matrix(a), as_matrix(b), as_matrix(c), /*accumulate=*/true);
    expect_close(c, expected, kGemmFp32);
  }
}

TEST(Gemm, ReadsAndWritesPartsAndNothingElse) {
  RandomTensors random;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto a = random.normal({20, 40}, dtype);
    const auto b = random.normal({40, 30}, dtype);
    const auto c = at::zeros({20, 30}, at::TensorOptions().dtype(dtype));
    gemm(as_matrix(a).row_range(3, 8).column_range(5, 16),
         as_matrix(b).row_range(10, 16).column_range(1, 9),
         as_matrix(c).row_range(2, 8).column_range(4, 9));
    const auto expected = at::zeros({20, 30}, at::kDouble);
    expected.narrow(0, 2, 8).narrow(1, 4, 9).copy_(
        exact_product(a.narrow(0, 3, 8).narrow(1, 5, 16), b.narrow(0, 10, 16).narrow(1, 1, 9)));
    expect_close(c, expected, tolerance_of(dtype));
  }
}

/// oneDNN 3.7 takes such a column for one without gaps.
TEST(Gemm, WritesAColumnAloneBetweenOthers) {
  RandomTensors random;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto a = random.normal({130, 17}, dtype);
    const auto b = random.normal({17, 1}, dtype);
    const PackedMatrix packed(as_matrix(b), a.size(0));
    const auto c = at::zeros({130, 10}, at::kFloat);
    const auto column = as_matrix(c).column_range(9, 1);
    auto expected = at::zeros({130, 10}, at::kDouble);
    for (const bool accumulate : {false, true}) {
      gemm(as_matrix(a), as_matrix(b), column, accumulate);
      expected.select(1, 9).add_(exact_product(a, b).select(1, 0));
      expect_close(c, expected, kGemmFp32);
    }
    gemm(as_matrix(a), packed, column);
    expected.select(1, 9).copy_(exact_product(a, b).select(1, 0));
    expect_close(c, expected, kGemmFp32);
  }
}

TEST(Gemm, PutsRowsIntoSeveralMatrices) {
  RandomTensors random;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto a =
        random.normal({70, 6}, dtype);  // transposed, as the gradient of weights reads it
    const auto b = random.normal({70, 5}, dtype);
    const auto first = at::zeros({1, 5}), second = at::zeros({2, 5}), third = at::zeros({3, 5});
    for (const bool accumulate : {false, true}) {
      gemm(as_matrix(a).transposed(), as_matrix(b),
           {as_matrix(first), as_matrix(second), as_matrix(third)}, accumulate);
    }
    expect_close(at::cat({first, second, third}), 2 * exact_product(a.t(), b), 2 * kGemmFp32);
  }
}

TEST(Gemm, IsTheSameInsideAParallelRegion) {
  RandomTensors random;
  const auto a = random.normal({64, 48}, at::kBFloat16);
  const auto b = random.normal({48, 32}, at::kBFloat16);
  constexpr int64_t kProducts = 8;
  const auto c = at::zeros({kProducts, 64, 32}, at::kFloat);
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  at::parallel_for(0, kProducts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      gemm(as_matrix(a), as_matrix(b), as_matrix(c[i]));
    }
  });
  EXPECT_EQ(at::get_num_threads(), 2);
  at::set_num_threads(before);
  for (int64_t i = 0; i < kProducts; ++i) {
    expect_close(c[i], exact_product(a, b), kGemmFp32);
  }
}

TEST(Gemm, APackedFactorGivesTheSameForAnyNumberOfRows) {
  RandomTensors random;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const auto [M, K, N] : kGemmShapes) {
      const auto weight = random.normal({N, K}, dtype);
      const PackedMatrix packed(as_matrix(weight).transposed(), M);
      for (const auto rows : {M, M + 3}) {
        const auto a = random.normal({rows, K}, dtype);
        const auto c = at::empty({rows, N}, at::TensorOptions().dtype(dtype));
        gemm(as_matrix(a), packed, as_matrix(c));
        expect_close(c, exact_product(a, weight.t()), tolerance_of(dtype));
      }
    }
  }
}

TEST(Gemm, RefusesSizesAndDtypesThatDoNotFit) {
  const auto a = at::zeros({2, 3});
  const auto b = at::zeros({4, 5});
  const auto c = at::zeros({2, 5});
  expect_error(ErrorCode::kShape,
               "gemm: expected [M, K] times [K, N] into [M, N], got [2, 3] times [4, 5] into "
               "[2, 5].",
               [&] { gemm(as_matrix(a), as_matrix(b), as_matrix(c)); });
  expect_error(ErrorCode::kShape, "gemm: expected results of 2 rows together, got 4.", [&] {
    const std::vector<Matrix> results{as_matrix(b.narrow(1, 0, 2))};
    gemm(as_matrix(a), as_matrix(a.t()), results);
  });
  const auto low = at::zeros({2, 2}, at::kBFloat16);
  expect_error(ErrorCode::kDtype,
               "gemm: expected factors of one dtype, Float or BFloat16, into Float (or, not adding "
               "up, into their own), got BFloat16 times BFloat16 into BFloat16 adding up.",
               [&] { gemm(as_matrix(low), as_matrix(low), as_matrix(low), true); });
}

}  // namespace
}  // namespace loopbank::ops
