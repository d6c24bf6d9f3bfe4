#include "loopbank/support/statistics.h"

#include <gtest/gtest.h>

#include <array>
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

TEST(StudentDifference, DegreesOfFreedomNeedBeNoWholeNumber) {
  // Between t(2) = 4.302653 and t(3) = 3.182446; tables give 3.558 for 2.5 (Student, interpolated).
  const auto found = student_difference(0.0, 1.0, 2.5);
  EXPECT_GT(found.high, 3.182446);
  EXPECT_LT(found.high, 4.302653);
  EXPECT_NEAR(student_difference(0.0, 2.0, 3.0).high, 2 * 3.182446, 1e-5);
}

TEST(CombinedDifference, ItsCriticalValuesAreTheMeansOfThoseOfItsParts) {
  // t of 1 and of 4 degrees of freedom at 97.5 % and at 99.5 %.
  const std::array<VariancePart, 2> parts = {{{0.25, 1}, {0.75, 4}}};
  const double bound = 0.25 * 12.706205 + 0.75 * 2.776445;
  const auto found = combined_difference(2.0, parts);
  EXPECT_NEAR(found.high - found.low, 2 * bound, 1e-5);
  EXPECT_NEAR(combined_difference(bound, parts).p, 0.05, 1e-6);
  EXPECT_NEAR(combined_difference(0.25 * 63.656741 + 0.75 * 4.604095, parts).p, 0.01, 1e-6);
  EXPECT_EQ(combined_difference(-2.0, parts).p, found.p);
  EXPECT_EQ(combined_difference(0.0, parts).p, 1.0);
  const auto same = student_difference(2.0, 1.0, combined_degrees_of_freedom(parts));
  EXPECT_NEAR(same.high, found.high, 1e-8);
  // A single part is Student's t.
  const std::array<VariancePart, 2> one = {{{1.0, 4}, {0.0, 1}}};
  EXPECT_EQ(combined_difference(2.0, one).p, student_difference(2.0, 1.0, 4).p);
  EXPECT_EQ(combined_degrees_of_freedom(one), 4.0);
}

TEST(HolmAdjusted, IsWorkedOutByHand) {
  // Sorted 0.01, 0.02, 0.03, 0.04: times 4, 3, 2, 1 is 0.04, 0.06, 0.06, 0.04, and none falls.
  const auto found = holm_adjusted(Values{0.03, 0.01, 0.04, 0.02});
  const Values wanted = {0.06, 0.04, 0.06, 0.06};
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_NEAR(found.at(i), wanted[i], 1e-12) << i;
  }
  EXPECT_EQ(holm_adjusted(Values{0.9, 0.6}), (Values{1.0, 1.0}));
  EXPECT_EQ(holm_adjusted(Values{0.04}), (Values{0.04}));
  EXPECT_TRUE(holm_adjusted({}).empty());
}

TEST(FitLine, GoesThroughPointsOnALineAndHeedsWeights) {
  const std::vector<double> x = {1.0, 2.0, 4.0};
  const auto exact = fit_line(x, std::vector<double>{5.0, 7.0, 11.0});
  EXPECT_NEAR(exact.start, 3.0, 1e-12);
  EXPECT_NEAR(exact.slope, 2.0, 1e-12);
  const std::vector<double> off = {5.0, 7.0, 20.0};
  EXPECT_NEAR(fit_line(x, off).slope, 73.0 / 14.0, 1e-12);
  // A point of almost no weight draws the line nowhere.
  EXPECT_NEAR(fit_line(x, off, std::vector<double>{1.0, 1.0, 1e-9}).slope, 2.0, 1e-6);
}

}  // namespace
}  // namespace loopbank
