#include "gradient_check.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <limits>

namespace loopbank::testing {
namespace {

// The helpers decide about every op, so they have to be able to say no.

/// x^2 whose gradient, by autograd, is that of 1.001 x^2.
at::Tensor wrong_square(const std::vector<at::Tensor>& x) {
  const auto square = x[0] * x[0];
  const auto scaled = 1.001 * square;
  return scaled - (scaled - square).detach();
}

TEST(GradientsMatch, SeesAGradientThatIsSlightlyOff) {
  const auto x = RandomTensors().normal({2, 3});
  EXPECT_TRUE(gradients_match([](const auto& in) { return in[0] * in[0]; }, {x}));
  const auto wrong = gradients_match(wrong_square, {x});
  EXPECT_FALSE(wrong);
  EXPECT_NE(std::string(wrong.message()).find("gradient of input 0: max abs "), std::string::npos);
  EXPECT_NE(std::string(wrong.message()).find("(seed 20260308)"), std::string::npos);
}

TEST(GradientsMatch, SeesAnInputThatNoGradientReaches) {
  const auto x = RandomTensors().normal({3});
  const auto cut = [](const auto& in) { return in[0] * in[1].detach(); };
  EXPECT_STREQ(gradients_match(cut, {x, x}).message(), "no gradient reaches input 1");
  const auto none = [](const auto& in) { return in[0].detach(); };
  EXPECT_STREQ(gradients_match(none, {x}).message(), "the result carries no gradient at all");
}

TEST(GradientsMatch, SeesAStepThroughFp32) {
  const auto x = RandomTensors().normal({8});
  EXPECT_FALSE(gradients_match([](const auto& in) { return in[0].to(at::kFloat).square(); }, {x}));
}

TEST(IsClose, NamesTheWorstElement) {
  const auto expected = at::zeros({2, 3}, at::kDouble);
  auto actual = expected.clone();
  actual[1][2] = 0.5;
  actual[0][1] = -0.25;
  EXPECT_TRUE(is_close(actual, expected, 0.5));
  EXPECT_STREQ(is_close(actual, expected, 0.4).message(),
               "max abs 0.5, max rel inf (tolerance 0.4), worst at [1, 2]: 0.5, expected 0 "
               "(seed 20260308)");
}

TEST(IsClose, RefusesNanAndOtherShapes) {
  const auto zero = at::zeros({2}, at::kDouble);
  auto nan = zero.clone();
  nan[1] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(is_close(nan, zero, 1e9));
  EXPECT_FALSE(is_close(zero, nan, 1e9));
  EXPECT_FALSE(is_close(nan, nan, 1e9));
  EXPECT_STREQ(is_close(zero, zero.unsqueeze(0), 1.0).message(),
               "shape [2], expected [1, 2] (seed 20260308)");
}

TEST(WithGaps, KeepsTheValuesAndIsNotContiguous) {
  const auto x = RandomTensors().normal({3, 4});
  EXPECT_TRUE(with_gaps(x).equal(x));
  EXPECT_FALSE(with_gaps(x).is_contiguous());
}

}  // namespace
}  // namespace loopbank::testing
