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
using Values = std::vector<double>;

TEST(Statistics, VarianceIsOfASample) {
  const Values values = {2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0};  // squares of deviations: 32
  EXPECT_EQ(mean_of(values), 5.0);
  EXPECT_DOUBLE_EQ(variance_of(values), 32.0 / 7.0);
  EXPECT_DOUBLE_EQ(deviation_of(values), std::sqrt(32.0 / 7.0));
  EXPECT_DOUBLE_EQ(standard_error_of(values), std::sqrt(32.0 / 7.0 / 8.0));
  EXPECT_EQ(standard_error_of(Values{3.0}), 0.0);
}

TEST(Median, IsTheMiddleOrTheMeanOfTheTwoInTheMiddle) {
  EXPECT_EQ(median({}), 0.0);
  EXPECT_EQ(median({3.0}), 3.0);
  EXPECT_EQ(median({9.0, 1.0, 5.0}), 5.0);
  EXPECT_EQ(median({8.0, 1.0, 4.0, 2.0}), 3.0);
}

TEST(StudentDifference, IsThePairedT) {
  // Differences 1, 2, 3: mean 2, standard error 1 / sqrt 3; t with 2 degrees of freedom has
  // its 97.5 % quantile at 4.302653 and leaves 0.0741799 outside of +-3.4641016 (tables of the
  // distribution).
  const auto found = student_difference(Values{1.0, 2.0, 3.0});
  ASSERT_TRUE(found);
  EXPECT_DOUBLE_EQ(found->difference, 2.0);
  EXPECT_NEAR(found->low, 2.0 - 4.302653 / std::sqrt(3.0), 1e-5);
  EXPECT_NEAR(found->high, 2.0 + 4.302653 / std::sqrt(3.0), 1e-5);
  EXPECT_NEAR(found->p, 0.0741799, 1e-6);
  EXPECT_FALSE(found->excludes_zero());
  EXPECT_TRUE(student_difference(Values{2.9, 3.0, 3.1})->excludes_zero());
}

TEST(StudentDifference, ManySeedsHaveTheirOwnQuantile) {
  // 1 to 31: standard deviation sqrt(82 + 2/3), and 2.042272 at 30 degrees of freedom.
  Values differences(31);
  for (size_t i = 0; i < differences.size(); ++i) {
    differences[i] = static_cast<double>(i + 1);
  }
  const auto found = student_difference(differences);
  EXPECT_NEAR(found->high, 16.0 + 2.042272 * std::sqrt((82.0 + 2.0 / 3.0) / 31.0), 1e-5);
}

TEST(StudentDifference, OneTellsNothingAndEqualOnesLeaveNoDoubt) {
  EXPECT_FALSE(student_difference(Values{1.0}));
  EXPECT_FALSE(student_difference(Values{}));
  EXPECT_EQ(student_difference(Values{0.0, 0.0})->p, 1.0);
  EXPECT_EQ(student_difference(Values{0.5, 0.5})->p, 0.0);
}

TEST(NormalDifference, ErrorsAddAsSquares) {
  const auto found = normal_difference(1.0, Values{0.3, 0.4});
  EXPECT_NEAR(found.low, 1.0 - 0.5 * 1.959964, 1e-6);
  EXPECT_NEAR(found.high, 1.0 + 0.5 * 1.959964, 1e-6);
  EXPECT_NEAR(found.p, 0.0455003, 1e-6);  // outside of +-2
  EXPECT_EQ(normal_difference(0.0, Values{0.0}).p, 1.0);
}

TEST(HierarchicalBootstrap, TwoSeedsAreWorkedOutByHand) {
  // Every question of a seed says the same, 0 or 1: a resample's mean is 0, 1/2 or 1 with
  // probabilities 1/4, 1/2, 1/4, however many questions there are.
  const std::vector<Values> a = {{0.0, 0.0, 0.0}, {2.0}};
  const std::vector<Values> b = {{0.0, 0.0, 0.0}, {3.0}};
  const auto resampled = resample_seeds(a, b, /*seed=*/5, /*resamples=*/20000);
  EXPECT_EQ(resampled.a, 1.0);
  EXPECT_EQ(resampled.b, 1.5);
  int outer = 0;
  for (const double difference : resampled.differences) {
    EXPECT_TRUE(difference == 0.0 || difference == 0.5 || difference == 1.0) << difference;
    outer += difference != 0.5 ? 1 : 0;
  }
  EXPECT_NEAR(outer / 20000.0, 0.5, 0.015);
  const auto described = describe_difference(resampled);
  EXPECT_EQ(described.low, 0.0);
  EXPECT_EQ(described.high, 1.0);
}

TEST(HierarchicalBootstrap, OneSeedIsThePairedBootstrap) {
  const std::vector<Values> a = {{0.1, 0.5, 0.2, 0.9}};
  const std::vector<Values> b = {{0.3, 0.4, 0.6, 1.5}};
  const auto one = describe_difference(resample_seeds(a, b, 1, 5000));
  const auto plain = describe_difference(resample_pairs(a[0], b[0], 2, 5000));
  EXPECT_DOUBLE_EQ(one.difference, plain.difference);
  EXPECT_NEAR(one.low, plain.low, 0.03);
  EXPECT_NEAR(one.high, plain.high, 0.03);
}

TEST(HierarchicalBootstrap, HoldsTheTruthWhereSeedsDifferAndTheQuestionsAloneDoNot) {
  // Twelve seeds of 40 questions whose own differences scatter by 0.5 around a true 0.
  constexpr int kSets = 200;
  RandomStream random(20261129);
  const auto normal = [&] {
    return std::sqrt(-2.0 * std::log(1.0 - random.uniform())) *
           std::cos(2.0 * std::numbers::pi * random.uniform());
  };
  int covered = 0;
  int covered_by_questions = 0;
  for (int set = 0; set < kSets; ++set) {
    std::vector<Values> a(12, Values(40, 0.0));
    auto b = a;
    std::vector<Resampled> seeds;
    for (size_t s = 0; s < b.size(); ++s) {
      const double shift = 0.5 * normal();
      for (auto& value : b[s]) {
        value = shift + normal();
      }
      seeds.push_back(resample_pairs(a[s], b[s], static_cast<uint64_t>(set) * 100 + s, 400));
    }
    const auto both = resample_seeds(a, b, static_cast<uint64_t>(set), 400);
    covered += describe_difference(both).excludes_zero() ? 0 : 1;
    covered_by_questions += describe_difference(mean_of(seeds)).excludes_zero() ? 0 : 1;
  }
  // 95 % of 200 is 190; percentiles of twelve seeds are a little narrow.
  EXPECT_GE(covered, 174);
  EXPECT_LE(covered, 198);
  EXPECT_LT(covered_by_questions, 130) << "questions alone know nothing of the seeds";
}

TEST(HierarchicalBootstrap, TheSeedDecidesTheDrawsAndScoresNeedPartners) {
  const std::vector<Values> a = {{0.0, 1.0}, {2.0, 3.0, 5.0}};
  const std::vector<Values> b = {{1.0, 1.5}, {0.0, 3.0, 4.0}};
  EXPECT_EQ(resample_seeds(a, b, 3, 50).differences, resample_seeds(a, b, 3, 50).differences);
  EXPECT_NE(resample_seeds(a, b, 3, 50).differences, resample_seeds(a, b, 4, 50).differences);
  const std::vector<Values> fewer = {{1.0, 1.5}, {0.0, 3.0}};
  expect_contains(error_of(ErrorCode::kShape, [&] { (void)resample_seeds(a, fewer, 0, 1); }),
                  "expected the same number of scores twice, got 3 and 2.");
  expect_contains(error_of(ErrorCode::kShape, [&] { (void)resample_seeds(a, {}, 0, 1); }),
                  "got 2 and 0.");
}

}  // namespace
}  // namespace loopbank
