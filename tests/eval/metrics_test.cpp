#include "loopbank/eval/metrics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;

ContinuationScore continuation_score(double log_probability, int64_t tokens, int64_t characters,
                                     int64_t bytes, double unconditioned = 0.0) {
  ContinuationScore made;
  made.log_probability = log_probability;
  made.tokens = tokens;
  made.characters = characters;
  made.bytes = bytes;
  made.unconditioned = unconditioned;
  return made;
}

TEST(Metrics, KnownBitsAreThePriorLessTheLoss) {
  EXPECT_DOUBLE_EQ(known_bits(continuation_score(0.0, 1, 1, 1), 6.0), 6.0);
  EXPECT_NEAR(known_bits(continuation_score(-std::log(64.0), 2, 9, 9), 6.0), 0.0, 1e-12);
  EXPECT_NEAR(known_bits(continuation_score(-std::log(256.0), 2, 9, 9), 6.0), -2.0, 1e-12);
}

TEST(Metrics, EachNormalisationPrefersAnotherChoice) {
  // Worked by hand:           raw   /tokens   /chars    /bytes    pmi
  const std::vector<ContinuationScore> choices = {
      continuation_score(-4.0, 1, 2, 4, -1.0),      // -4    -4        -2        -1        -3
      continuation_score(-6.0, 4, 2, 4, -2.0),      // -6    -1.5      -3        -1.5      -4
      continuation_score(-8.0, 2, 16, 17, -3.5),    // -8    -4        -0.5      -0.4706   -4.5
      continuation_score(-9.0, 3, 10, 30, -4.0),    // -9    -3        -0.9      -0.3      -5
      continuation_score(-12.0, 4, 12, 24, -10.5),  // -12   -3        -1        -0.5      -1.5
  };
  EXPECT_EQ(choose(Metric::kAccRaw, choices), 0);
  EXPECT_EQ(choose(Metric::kAccPerToken, choices), 1);
  EXPECT_EQ(choose(Metric::kAccPerChar, choices), 2);
  EXPECT_EQ(choose(Metric::kAccPerByte, choices), 3);
  EXPECT_EQ(choose(Metric::kAccUncond, choices), 4);
}

TEST(Metrics, ATieGoesToTheFirstIndex) {
  const std::vector<ContinuationScore> choices = {continuation_score(-3.0, 1, 2, 2),
                                                  continuation_score(-2.0, 1, 1, 1),
                                                  continuation_score(-2.0, 1, 1, 1)};
  EXPECT_EQ(choose(Metric::kAccRaw, choices), 1);
  EXPECT_EQ(instance_value(Metric::kAccRaw, choices, 1), 1.0);
  EXPECT_EQ(instance_value(Metric::kAccRaw, choices, 2), 0.0);
  EXPECT_EQ(choose(Metric::kAccPerChar, choices), 0);  // -1.5 is above -2
}

TEST(Metrics, BitsPerByteIsOfTheCorrectChoice) {
  const std::vector<ContinuationScore> choices = {
      continuation_score(-1.0, 1, 1, 1), continuation_score(-8.0 * std::log(2.0), 3, 4, 4)};
  EXPECT_NEAR(instance_value(Metric::kBitsPerByte, choices, 1), 2.0, 1e-12);
}

TEST(Metrics, GreedyAsksWhetherTheContinuationIsTheMostProbable) {
  std::vector<ContinuationScore> choices = {continuation_score(-1.0, 1, 1, 1)};
  EXPECT_EQ(instance_value(Metric::kAccGreedy, choices, 0), 0.0);
  choices[0].greedy = true;
  EXPECT_EQ(instance_value(Metric::kAccGreedy, choices, 0), 1.0);
}

TEST(Metrics, BitsPerByteChoosesNothing) {
  const std::vector<ContinuationScore> choices(2);
  expect_contains(
      error_of(ErrorCode::kConfig, [&] { (void)choose(Metric::kBitsPerByte, choices); }),
      "expected a metric that compares continuations, got bits_per_byte_corr");
}

TEST(Metrics, StandardErrorIsThatOfAMean) {
  const std::vector<double> values = {1, 0, 1, 1};
  const auto estimate = estimate_mean(values);
  EXPECT_DOUBLE_EQ(estimate.mean, 0.75);
  EXPECT_DOUBLE_EQ(estimate.standard_error, std::sqrt(0.75 / 3.0 / 4.0));  // s^2 = 0.25, n = 4
  EXPECT_EQ(estimate_mean(std::vector<double>{0.5}).standard_error, 0.0);
}

TEST(Metrics, CharactersAreCodePoints) {
  EXPECT_EQ(count_characters(" abc"), 4);
  EXPECT_EQ(count_characters(" \xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"), 4);  // e acute, euro, a face
  EXPECT_EQ(count_characters(""), 1);
}

}  // namespace
}  // namespace loopbank
