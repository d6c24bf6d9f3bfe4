#include "loopbank/ops/check.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "gradient_check.h"

namespace loopbank::ops {
namespace {

using testing::expect_error;

TEST(FormatShape, ShowsEverySizeInBrackets) {
  EXPECT_EQ(format_shape({}), "[]");
  EXPECT_EQ(format_shape({2, 3, 4}), "[2, 3, 4]");
}

TEST(ExpectShape, NamesTheOpTheTensorAndBothShapes) {
  expect_shape("op", "x", at::zeros({2, 3}), {2, 3});
  expect_error(ErrorCode::kShape, "op: expected x of shape [3, 2], got [2, 3].", [] {
    expect_shape("op", "x", at::zeros({2, 3}), {3, 2});
  });
}

TEST(AccumulationType, IsFp32ButForFp64) {
  EXPECT_EQ(accumulation_type(at::kBFloat16), at::kFloat);
  EXPECT_EQ(accumulation_type(at::kFloat), at::kFloat);
  EXPECT_EQ(accumulation_type(at::kDouble), at::kDouble);
}

}  // namespace
}  // namespace loopbank::ops
