#include "loopbank/support/rank_correlation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <numeric>
#include <vector>

#include "loopbank/support/random.h"
#include "loopbank/support/statistics.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using Values = std::vector<double>;

/// Normal, by Box and Muller.
double draw_normal(RandomStream& random) {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - random.uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * random.uniform());
}

/// Of values that are normal with Pearson's r: 6/pi asin(r/2).
double rho_of_normal(double r) {
  return 6.0 / std::numbers::pi * std::asin(r / 2.0);
}

/// Observations in groups whose members share half of their variance.
struct GroupedDraw {
  Values x, y;
  std::vector<int64_t> groups;
};

GroupedDraw draw_groups(int64_t num_groups, int64_t members, double r, RandomStream& random) {
  GroupedDraw drawn;
  const auto pair = [&] {
    const double x = draw_normal(random);
    return std::pair(x, r * x + std::sqrt(1 - r * r) * draw_normal(random));
  };
  for (int64_t g = 0; g < num_groups; ++g) {
    const auto shared = pair();
    for (int64_t m = 0; m < members; ++m) {
      const auto own = pair();
      drawn.x.push_back(shared.first + own.first);
      drawn.y.push_back(shared.second + own.second);
      drawn.groups.push_back(g);
    }
  }
  return drawn;
}

/// What is left of ranks behind the least-squares fit on all of `on` and 1.
Values residuals(Values y, const std::vector<Values>& on) {
  std::vector<Values> basis;
  const auto subtract = [](Values& from, const Values& direction) {
    const double length =
        std::inner_product(direction.begin(), direction.end(), direction.begin(), 0.0);
    const double along = std::inner_product(from.begin(), from.end(), direction.begin(), 0.0);
    for (size_t i = 0; i < from.size(); ++i) {
      from[i] -= along / length * direction[i];
    }
  };
  basis.emplace_back(y.size(), 1.0);
  for (auto direction : on) {
    for (const auto& other : basis) {
      subtract(direction, other);
    }
    basis.push_back(direction);
  }
  for (const auto& direction : basis) {
    subtract(y, direction);
  }
  return y;
}

double cosine(const Values& a, const Values& b) {
  const auto dot = [](const Values& p, const Values& q) {
    return std::inner_product(p.begin(), p.end(), q.begin(), 0.0);
  };
  return dot(a, b) / std::sqrt(dot(a, a) * dot(b, b));
}

TEST(MeanRanks, EqualValuesShareTheMeanOfTheirRanks) {
  EXPECT_EQ(mean_ranks(Values{3, 1, 3, 2}), (Values{3.5, 1, 3.5, 2}));
  EXPECT_EQ(mean_ranks(Values{7, 7, 7}), (Values{2, 2, 2}));
}

TEST(Spearman, IsOneMinusTheSquaredDifferencesOfRanks) {
  const Values x = {1, 2, 3, 4, 5};
  const Values y = {2, 1, 4, 3, 5};  // four ranks off by 1: 1 - 6 * 4 / (5 * 24)
  EXPECT_NEAR(spearman({.x = x, .y = y}), 0.8, 1e-15);
}

TEST(Spearman, TiesByMeanRanks) {
  const Values x = {1, 2, 2, 3};
  const Values y = {1, 3, 2, 4};
  EXPECT_NEAR(spearman({.x = x, .y = y}), 4.5 / std::sqrt(4.5 * 5.0), 1e-15);
}

TEST(Spearman, NoScaleMattersAndAFallIsNegative) {
  const Values x = {1, 4, 2, 8, 5};
  Values y;
  for (const double value : x) {
    y.push_back(std::exp(-value));
  }
  EXPECT_DOUBLE_EQ(spearman({.x = x, .y = y}), -1.0);
}

TEST(Spearman, WhatNeverChangesHasZeroAndNoInterval) {
  const Values x(20, 1.5);
  Values y(20);
  std::iota(y.begin(), y.end(), 0.0);
  for (const auto& sample : {RankedSample{.x = x, .y = y}, RankedSample{.x = y, .y = x}}) {
    EXPECT_EQ(spearman(sample), 0.0);
    const auto found = rank_correlation(sample, 1);
    EXPECT_FALSE(found.has_interval);
    EXPECT_EQ(found.rho, 0.0);
    EXPECT_EQ(found.low, 0.0);
    EXPECT_EQ(found.high, 0.0);
  }
}

TEST(Spearman, PartialIsTheCorrelationOfWhatFitsLeave) {
  RandomStream random(3);
  Values x, y, z, w;
  for (int i = 0; i < 60; ++i) {
    z.push_back(std::floor(4 * random.uniform()));
    w.push_back(draw_normal(random) + z.back());
    x.push_back(z.back() + draw_normal(random));
    y.push_back(z.back() - w.back() + draw_normal(random));
  }
  const std::vector<Values> both = {mean_ranks(z), mean_ranks(w)};
  EXPECT_NEAR(spearman({.x = x, .y = y, .given = {z}}),
              cosine(residuals(mean_ranks(x), {both[0]}), residuals(mean_ranks(y), {both[0]})),
              1e-12);
  EXPECT_NEAR(spearman({.x = x, .y = y, .given = {z, w}}),
              cosine(residuals(mean_ranks(x), both), residuals(mean_ranks(y), both)), 1e-12);
}

TEST(Spearman, HoldingWhatNeverChangesChangesNothing) {
  const Values x = {1, 2, 3, 4, 5};
  const Values y = {2, 1, 4, 3, 5};
  const Values z(5, 0.0);
  EXPECT_DOUBLE_EQ(spearman({.x = x, .y = y, .given = {z}}), spearman({.x = x, .y = y}));
}

TEST(Spearman, HoldingWhatDecidesASideLeavesNothing) {
  RandomStream random(4);
  Values x, y;
  for (int i = 0; i < 30; ++i) {
    x.push_back(random.uniform());
    y.push_back(x.back() + random.uniform());
  }
  const auto found = rank_correlation({.x = x, .y = y, .given = {x}}, 1);
  EXPECT_EQ(found.rho, 0.0);
  EXPECT_FALSE(found.has_interval);
}

TEST(Spearman, ListsOfOtherLengthsAreRefused) {
  const Values three(3, 1.0);
  const Values two(2, 1.0);
  const std::vector<int64_t> groups = {1, 2};
  EXPECT_EQ(error_of(ErrorCode::kShape, [&] { (void)spearman({.x = three, .y = two}); }),
            "rank correlation: expected lists of one length, got 3 and 2 values.");
  EXPECT_EQ(
      error_of(ErrorCode::kShape,
               [&] { (void)rank_correlation({.x = three, .y = three, .groups = groups}, 1); }),
      "rank correlation: expected a group for each of 3 values, got 2.");
}

TEST(RankCorrelation, FewGroupsHaveNoInterval) {
  Values x, y;
  std::vector<int64_t> groups;
  for (int64_t i = 0; i < 70; ++i) {
    x.push_back(static_cast<double>(i));
    y.push_back(static_cast<double>(i % 10));
    groups.push_back(i / 10);
  }
  const auto seven = rank_correlation({.x = x, .y = y, .groups = groups}, 1);
  EXPECT_FALSE(seven.has_interval);
  EXPECT_GT(seven.rho, 0.0);
  EXPECT_EQ(seven.low, seven.rho);
  groups.back() = 7;
  EXPECT_TRUE(rank_correlation({.x = x, .y = y, .groups = groups}, 1).has_interval);
}

TEST(RankCorrelation, TheSameSeedGivesTheSameInterval) {
  RandomStream random(5);
  const auto drawn = draw_groups(30, 2, 0.3, random);
  const RankedSample sample{.x = drawn.x, .y = drawn.y, .groups = drawn.groups};
  const auto a = rank_correlation(sample, 1);
  const auto b = rank_correlation(sample, 1);
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
  EXPECT_LT(a.low, a.rho);
  EXPECT_GT(a.high, a.rho);
}

/// Drawn from a population whose rho is known, 95 % intervals hold it 95 times of 100: over groups.
/// Members that count as independent have intervals that are too narrow.
TEST(RankCorrelation, IntervalsHoldTheTruthWhereGroupsAreDrawnWhole) {
  constexpr int kTrials = 300;
  const double truth = rho_of_normal(0.6);
  RandomStream random(6);
  int held = 0;
  int held_apart = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    const auto drawn = draw_groups(40, 8, 0.6, random);
    const auto holds = [&](const RankedSample& sample) {
      const auto found = rank_correlation(sample, static_cast<uint64_t>(trial), 200);
      return found.low <= truth && truth <= found.high ? 1 : 0;
    };
    held += holds({.x = drawn.x, .y = drawn.y, .groups = drawn.groups});
    held_apart += holds({.x = drawn.x, .y = drawn.y});
  }
  RecordProperty("held", held);
  RecordProperty("held_apart", held_apart);
  EXPECT_GE(held, 0.91 * kTrials);
  EXPECT_LE(held, 0.98 * kTrials);
  EXPECT_LE(held_apart, 0.85 * kTrials);
}

TEST(CombineSeeds, IsStudentsTOfFishersZ) {
  const std::vector<RankCorrelation> seeds = {{.rho = 0.2, .has_interval = true},
                                              {.rho = 0.4, .has_interval = true},
                                              {.rho = 0.6, .has_interval = true}};
  const auto all = combine_seeds(seeds);
  const Values z = {std::atanh(0.2), std::atanh(0.4), std::atanh(0.6)};
  const double half = 4.302652730 * standard_error_of(z);  // t of 2 degrees, 97.5 %
  EXPECT_NEAR(all.rho, std::tanh(mean_of(z)), 1e-12);
  EXPECT_NEAR(all.low, std::tanh(mean_of(z) - half), 1e-8);
  EXPECT_NEAR(all.high, std::tanh(mean_of(z) + half), 1e-8);
  EXPECT_TRUE(all.has_interval);
}

TEST(CombineSeeds, OneSeedKeepsItsInterval) {
  const RankCorrelation one{.rho = 0.3, .low = 0.1, .high = 0.5, .has_interval = true};
  const auto found = combine_seeds(std::vector{one});
  EXPECT_EQ(found.low, 0.1);
  EXPECT_EQ(found.high, 0.5);
}

TEST(CombineSeeds, SeedsWithoutACorrelationCountAsZeroAndAloneSayNothing) {
  const RankCorrelation none{};
  const RankCorrelation some{.rho = 0.5, .low = 0.4, .high = 0.6, .has_interval = true};
  EXPECT_NEAR(combine_seeds(std::vector{some, none}).rho, std::tanh(std::atanh(0.5) / 2), 1e-12);
  const auto nothing = combine_seeds(std::vector{none, none});
  EXPECT_EQ(nothing.rho, 0.0);
  EXPECT_FALSE(nothing.has_interval);
}

TEST(CombineSeeds, PerfectSeedsStayFinite) {
  const RankCorrelation perfect{.rho = 1.0, .low = 1.0, .high = 1.0, .has_interval = true};
  const auto found = combine_seeds(std::vector{perfect, perfect});
  EXPECT_NEAR(found.rho, 1.0, 1e-5);
  EXPECT_TRUE(std::isfinite(found.high));
}

}  // namespace
}  // namespace loopbank
