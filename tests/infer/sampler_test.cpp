#include "loopbank/infer/sampler.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/log.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;

constexpr int kDraws = 20000;

/// How often each token is drawn from these probabilities.
std::vector<double> frequencies(const std::vector<double>& probabilities,
                                const SamplingOptions& options) {
  const auto logits = at::log(at::tensor(probabilities, at::kDouble));
  RandomStream random(/*seed=*/11);
  std::vector<double> counts(probabilities.size(), 0.0);
  for (int i = 0; i < kDraws; ++i) {
    counts[static_cast<size_t>(sample_token(logits, options, random))] += 1.0 / kDraws;
  }
  return counts;
}

/// Four standard errors of a frequency, at most.
constexpr double kFrequencyTolerance = 0.015;

void expect_near(const std::vector<double>& found, const std::vector<double>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i], expected[i], kFrequencyTolerance) << "token " << i;
  }
}

TEST(SampleToken, TemperatureZeroTakesTheFirstOfTheMostProbable) {
  RandomStream random(/*seed=*/1);
  const auto logits = at::tensor(std::vector<double>{0.5, 2.0, -1.0, 2.0});
  EXPECT_EQ(sample_token(logits, {.temperature = 0.0, .top_p = 1.0}, random), 1);
  EXPECT_EQ(random.position(), 0U);
}

TEST(SampleToken, DrawsFollowTheProbabilities) {
  expect_near(frequencies({0.1, 0.6, 0.3}, {.temperature = 1.0, .top_p = 1.0}), {0.1, 0.6, 0.3});
}

TEST(SampleToken, TemperatureSharpensAndFlattens) {
  // p^2 and sqrt(p), made to sum to 1.
  expect_near(frequencies({0.2, 0.8}, {.temperature = 0.5, .top_p = 1.0}), {1.0 / 17, 16.0 / 17});
  expect_near(frequencies({0.2, 0.8}, {.temperature = 2.0, .top_p = 1.0}), {1.0 / 3, 2.0 / 3});
}

TEST(SampleToken, TopPKeepsTheSmallestSetThatReachesIt) {
  const std::vector<double> probabilities = {0.1, 0.5, 0.15, 0.25};
  expect_near(frequencies(probabilities, {.temperature = 1.0, .top_p = 0.7}),
              {0.0, 2.0 / 3, 0.0, 1.0 / 3});
  expect_near(frequencies(probabilities, {.temperature = 1.0, .top_p = 0.8}),
              {0.0, 5.0 / 9, 1.5 / 9, 2.5 / 9});
  expect_near(frequencies(probabilities, {.temperature = 1.0, .top_p = 0.01}), {0, 1, 0, 0});
  // Nothing outside the set, not once.
  EXPECT_EQ(frequencies(probabilities, {.temperature = 1.0, .top_p = 0.7})[2], 0.0);
}

TEST(SampleToken, OfEqualProbabilitiesTheLowerIdIsKept) {
  expect_near(frequencies({0.25, 0.25, 0.25, 0.25}, {.temperature = 1.0, .top_p = 0.5}),
              {0.5, 0.5, 0.0, 0.0});
}

TEST(SampleToken, LargeLogitsDoNotOverflow) {
  // exp(1000) is beyond fp64; the probabilities are 1 / 5 and 4 / 5.
  const auto logits = at::tensor(std::vector<double>{1000.0, 1000.0 + std::log(4.0)}, at::kDouble);
  RandomStream random(/*seed=*/2);
  double second = 0.0;
  for (int i = 0; i < kDraws; ++i) {
    second += sample_token(logits, {.temperature = 1.0, .top_p = 1.0}, random);
  }
  EXPECT_NEAR(second / kDraws, 0.8, kFrequencyTolerance);
}

TEST(SampleToken, MistakesAreNamed) {
  RandomStream random(/*seed=*/1);
  const auto logits = at::tensor(std::vector<double>{0.5, NAN});
  const auto draw = [&](const SamplingOptions& options, const at::Tensor& row) {
    return [&] { (void)sample_token(row, options, random); };
  };
  expect_contains(error_of(ErrorCode::kCheckpoint, draw({}, logits)),
                  "expected finite logits, got nan at token 1");
  expect_contains(error_of(ErrorCode::kConfig, draw({.temperature = -1.0, .top_p = 0.5}, logits)),
                  "expected temperature >= 0 and top_p in (0, 1], got -1 and 0.5");
  expect_contains(error_of(ErrorCode::kConfig, draw({.temperature = 1.0, .top_p = 0.0}, logits)),
                  "got 1 and 0");
}

}  // namespace
}  // namespace loopbank
