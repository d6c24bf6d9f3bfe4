#include "loopbank/ops/gemm/matrix_product.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include "gradient_check.h"

namespace loopbank::ops {
namespace {

using testing::expect_gradients_match;
using testing::RandomTensors;

/// Also under ONEDNN_MAX_CPU_ISA=AVX2, where at::matmul fails for bf16.
TEST(MatrixProduct, AddsUpInFp32) {
  // In bf16 a sum of ones stops at 256.
  const auto ones = at::ones({1, 3, 1000}, at::kBFloat16);
  const auto sum = matrix_product(ones, ones.select(0, 0).t());  // [1, 3, 3]
  EXPECT_EQ(sum.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(sum.eq(1000).all().item<bool>());
}

TEST(MatrixProduct, GradientsMatch) {
  RandomTensors random;
  expect_gradients_match([](const auto& in) { return matrix_product(in[0], in[1]); },
                         {random.normal({2, 3, 5}), random.normal({5, 4})});
}

}  // namespace
}  // namespace loopbank::ops
