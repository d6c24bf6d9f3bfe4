#include "loopbank/support/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "loopbank/support/random.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;

std::vector<double> wave(size_t size) {
  std::vector<double> values(size);
  for (size_t i = 0; i < size; ++i) {
    values[i] = std::sin(static_cast<double>(i));
  }
  return values;
}

PairedDifference compare(const std::vector<double>& a, const std::vector<double>& b,
                         uint64_t seed = 1, int64_t resamples = 2000) {
  return describe_difference(resample_pairs(a, b, seed, resamples));
}

TEST(PairedBootstrap, EqualScoresDifferByNothing) {
  const auto result = compare(wave(40), wave(40));
  EXPECT_EQ(result.difference, 0.0);
  EXPECT_EQ(result.low, 0.0);
  EXPECT_EQ(result.high, 0.0);
  EXPECT_EQ(result.p, 1.0);
}

TEST(PairedBootstrap, AConstantShiftIsCertainHoweverMuchDocumentsDiffer) {
  const auto a = wave(40);
  auto b = a;
  for (auto& value : b) {
    value += 0.25;
  }
  const auto result = compare(a, b);
  EXPECT_NEAR(result.difference, 0.25, 1e-12);
  EXPECT_NEAR(result.low, 0.25, 1e-12);
  EXPECT_NEAR(result.high, 0.25, 1e-12);
  EXPECT_EQ(result.p, 1.0 / 2001.0);  // no resample lies as far: the data alone counts
  EXPECT_NEAR(compare(b, a).difference, -0.25, 1e-12);
}

TEST(PairedBootstrap, TwoDocumentsAreWorkedOutByHand) {
  // Differences 0 and 1: a resample's mean is 0, 1/2 or 1 with probabilities 1/4, 1/2, 1/4. All lie
  // within 1/2 of the mean; those as far as the difference of 1/2 are the outer ones, a half.
  const auto result = compare({0.0, 0.0}, {0.0, 1.0}, /*seed=*/5, /*resamples=*/20000);
  EXPECT_EQ(result.a, 0.0);
  EXPECT_EQ(result.b, 0.5);
  EXPECT_EQ(result.difference, 0.5);
  EXPECT_EQ(result.low, 0.0);
  EXPECT_EQ(result.high, 1.0);
  EXPECT_NEAR(result.p, 0.5, 0.015);
}

TEST(PairedBootstrap, TheSeedDecidesTheDraws) {
  const auto a = wave(30);
  std::vector<double> b(a.rbegin(), a.rend());
  EXPECT_EQ(resample_pairs(a, b, 3, 50).differences, resample_pairs(a, b, 3, 50).differences);
  EXPECT_NE(resample_pairs(a, b, 3, 50).differences, resample_pairs(a, b, 4, 50).differences);
}

TEST(PairedBootstrap, TheIntervalHoldsTheTruthNineteenTimesInTwenty) {
  // 400 data sets of 60 pairs whose true difference is 0.1, and as many where it is 0.
  constexpr int kSets = 400;
  constexpr size_t kPairs = 60;
  RandomStream random(20260308);
  const auto normal = [&] {
    return std::sqrt(-2.0 * std::log(1.0 - random.uniform())) *
           std::cos(2.0 * std::numbers::pi * random.uniform());
  };
  int covered = 0;
  int false_alarms = 0;
  for (int set = 0; set < kSets; ++set) {
    std::vector<double> a(kPairs);
    std::vector<double> b(kPairs);
    for (size_t i = 0; i < kPairs; ++i) {
      const double document = 3.0 * normal();  // shared, so that pairing matters
      a[i] = document + 0.5 * normal();
      b[i] = document + 0.5 * normal();
    }
    const auto equal = compare(a, b, static_cast<uint64_t>(set), 1000);
    false_alarms += equal.p < 0.05 ? 1 : 0;
    for (auto& value : b) {
      value += 0.1;
    }
    const auto shifted = compare(a, b, static_cast<uint64_t>(set), 1000);
    covered += shifted.low <= 0.1 && 0.1 <= shifted.high ? 1 : 0;
  }
  // 95 % of 400 is 380; chance alone moves it by 4.4, and percentiles of 60 pairs are a little
  // narrow.
  EXPECT_GE(covered, 364);
  EXPECT_LE(covered, 393);
  EXPECT_GE(false_alarms, 7);
  EXPECT_LE(false_alarms, 36);
}

TEST(PairedBootstrap, ASuiteIsTheMeanOverItsTasks) {
  const std::vector<Resampled> tasks = {{.a = 0.0, .b = 1.0, .differences = {1.0, 3.0}},
                                        {.a = 2.0, .b = 2.5, .differences = {0.0, -1.0}}};
  const auto mean = mean_of(tasks);
  EXPECT_EQ(mean.a, 1.0);
  EXPECT_EQ(mean.b, 1.75);
  EXPECT_EQ(mean.differences, (std::vector<double>{0.5, 1.0}));
}

TEST(PairedBootstrap, ScoresWithoutAPartnerAreRefused) {
  expect_contains(error_of(ErrorCode::kShape, [] { (void)resample_pairs(wave(3), wave(2), 0, 1); }),
                  "expected the same number of scores twice, got 3 and 2");
  expect_contains(error_of(ErrorCode::kShape, [] { (void)resample_pairs({}, {}, 0, 1); }),
                  "got 0 and 0");
}

}  // namespace
}  // namespace loopbank
