#include "loopbank/ops/gemm/tile_gemm.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "exact_product.h"
#include "gradient_check.h"

namespace loopbank::ops {
namespace {

using testing::exact_product;
using testing::expect_close;
using testing::ProductSizes;
using testing::RandomTensors;

/// Sums of up to 1100 products of standard normal values.
constexpr double kTileGemmFp32 = 1e-4;

/// With each kind of instructions, where the CPU has it.
class TileGemm : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (kernels_ == nullptr) {
      GTEST_SKIP() << "this CPU does not have these instructions";
    }
  }

  void multiply(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate) {
    tile_gemm(*kernels_, a, b, c, accumulate);
  }

  const TileKernels* kernels_ = GetParam() == "Amx" ? amx_kernels() : avx512_kernels();
};

INSTANTIATE_TEST_SUITE_P(With, TileGemm, ::testing::Values("Amx", "Avx512Bf16"),
                         [](const auto& tested) { return tested.param; });

/// Blocks, tiles and vectors filled and not; K in several parts; more columns than stay in the
/// cache at once; more rows than columns and the other way round.
constexpr ProductSizes kTileGemmShapes[] = {{1, 1, 1},     {32, 32, 32},   {33, 31, 65},
                                            {16, 2, 16},   {64, 1100, 48}, {31, 513, 17},
                                            {40, 33, 900}, {700, 40, 33},  {5, 100, 1}};

TEST_P(TileGemm, IsTheProductInEveryLayoutAndSize) {
  RandomTensors random;
  const int before = at::get_num_threads();
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    for (const auto [M, K, N] : kTileGemmShapes) {
      const auto a = random.normal({M, K}, at::kBFloat16);
      const auto b = random.normal({K, N}, at::kBFloat16);
      const auto a_columns = a.t().contiguous();  // [K, M]
      const auto b_columns = b.t().contiguous();  // [N, K]
      for (const auto& left : {as_matrix(a), as_matrix(a_columns).transposed()}) {
        for (const auto& right : {as_matrix(b), as_matrix(b_columns).transposed()}) {
          const auto c = at::full({M, N}, std::nan(""), at::kFloat);
          const auto c_columns = at::full({N, M}, std::nan(""), at::kFloat);
          multiply(left, right, as_matrix(c), /*accumulate=*/false);
          multiply(left, right, as_matrix(c_columns).transposed(), /*accumulate=*/false);
          expect_close(c, exact_product(a, b), kTileGemmFp32);
          expect_close(c_columns.t(), exact_product(a, b), kTileGemmFp32);
          multiply(left, right, as_matrix(c), /*accumulate=*/true);
          expect_close(c, 2 * exact_product(a, b), 2 * kTileGemmFp32);
          const auto rounded = at::full({M, N}, std::nan(""), at::kBFloat16);
          multiply(left, right, as_matrix(rounded), /*accumulate=*/false);
          expect_close(rounded, exact_product(a, b), kOneRoundingToBf16 + kTileGemmFp32);
        }
      }
    }
  }
  at::set_num_threads(before);
}

TEST_P(TileGemm, ReadsAndWritesPartsAndNothingElse) {
  RandomTensors random;
  const auto nan = std::nan("");
  const auto bf16 = at::TensorOptions().dtype(at::kBFloat16);
  const auto a = at::full({60, 90}, nan, bf16);
  const auto b = at::full({90, 80}, nan, bf16);
  const auto c = at::ones({60, 80}, at::kFloat);
  const auto left = a.narrow(0, 3, 37).narrow(1, 5, 51);
  const auto right = b.narrow(0, 10, 51).narrow(1, 1, 45);
  left.copy_(random.normal({37, 51}, at::kBFloat16));
  right.copy_(random.normal({51, 45}, at::kBFloat16));
  multiply(as_matrix(left), as_matrix(right), as_matrix(c).row_range(2, 37).column_range(4, 45),
           /*accumulate=*/false);
  const auto expected = at::ones({60, 80}, at::kDouble);
  expected.narrow(0, 2, 37).narrow(1, 4, 45).copy_(exact_product(left, right));
  expect_close(c, expected, kTileGemmFp32);
}

/// Matrices that end inside a block of rows, that a thread shares with the next, with more columns
/// than rows and fewer.
TEST_P(TileGemm, PutsRowsIntoSeveralMatrices) {
  RandomTensors random;
  const int before = at::get_num_threads();
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    for (const auto [M, K, N] : kTileGemmShapes) {
      for (const std::vector<int64_t>& parts :
           {std::vector<int64_t>{M, M}, {1, 3 * M, 1, M}, {50, 0, 32, 1}}) {
        const auto rows = std::accumulate(parts.begin(), parts.end(), int64_t{0});
        const auto a = random.normal({K, rows}, at::kBFloat16);
        const auto b = random.normal({K, N}, at::kBFloat16);
        std::vector<at::Tensor> results;
        std::vector<Matrix> matrices;
        for (const auto part : parts) {
          results.push_back(at::full({part, N}, std::nan("")));
          matrices.push_back(as_matrix(results.back()));
        }
        tile_gemm(*kernels_, as_matrix(a).transposed(), as_matrix(b), matrices, false);
        tile_gemm(*kernels_, as_matrix(a).transposed(), as_matrix(b), matrices, true);
        expect_close(at::cat(results), 2 * exact_product(a.t(), b), 2 * kTileGemmFp32);
      }
    }
  }
  at::set_num_threads(before);
}

TEST(TileGemmChoice, TakesGradientsOfWeightsAndLeavesTheRest) {
  if (tile_kernels() == nullptr) {
    GTEST_SKIP() << "this CPU has no kernels, or they are not to be used";
  }
  const auto a = as_matrix(at::zeros({64, 64}, at::kBFloat16));
  const auto wide = as_matrix(at::zeros({64, 64}, at::kFloat));
  EXPECT_TRUE(takes_tile_gemm(a.transposed(), a, wide));
  EXPECT_FALSE(takes_tile_gemm(a, a, wide));
  EXPECT_FALSE(takes_tile_gemm(a.transposed(), a, a));
  EXPECT_FALSE(takes_tile_gemm(wide.transposed(), wide, wide));
  const auto tall = as_matrix(at::zeros({128, 64}, at::kBFloat16));
  EXPECT_EQ(takes_tile_gemm(tall, a, tall), tile_kernels() == avx512_kernels());
  const auto deep = as_matrix(at::zeros({128, 4096}, at::kBFloat16));
  EXPECT_FALSE(takes_tile_gemm(deep, deep.transposed(), tall));
}

}  // namespace
}  // namespace loopbank::ops
