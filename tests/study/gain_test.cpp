#include "loopbank/study/gain.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "loopbank/study/loop_onset.h"

namespace loopbank {
namespace {

constexpr double kFirstTokens = 1024;  // 2^10

/// A system whose seed s scores intercept + slope * (doublings since kFirstTokens).
SystemResult system_of(const std::vector<std::pair<double, double>>& lines, int points = 8) {
  SystemResult system;
  for (size_t s = 0; s < lines.size(); ++s) {
    ScoreCurve curve{.seed = static_cast<int64_t>(s) + 1};
    for (int point = 0; point < points; ++point) {
      curve.step.push_back(point + 1);
      curve.tokens.push_back(kFirstTokens * std::exp2(point));
      curve.scores["bpb"].push_back(lines[s].first + lines[s].second * point);
    }
    system.seeds.push_back(curve.seed);
    system.score_curves.push_back(std::move(curve));
  }
  return system;
}

TEST(GainCurve, DifferencesAreMeansOverCommonSeedsWithStudentsInterval) {
  const auto curve =
      gain_curve(system_of({{1.0, 0}, {2.0, 0}, {9.0, 0}}), system_of({{0.5, 0}, {1.0, 0}}), "bpb");
  EXPECT_EQ(curve.seeds, (std::vector<int64_t>{1, 2}));
  ASSERT_EQ(curve.points.size(), 8U);
  EXPECT_DOUBLE_EQ(curve.points[3].tokens, 8192);
  EXPECT_DOUBLE_EQ(curve.points[3].mean, 0.75);
  // Half the distance times t of one degree of freedom, 12.706.
  EXPECT_NEAR(curve.points[3].seeds->high, 0.75 + 0.25 * 12.7062, 1e-3);
}

TEST(GainCurve, PointsThatASeedLacksAreLeftOut) {
  auto one = system_of({{1.0, 0}, {1.0, 0}});
  one.score_curves[1].tokens[2] += 1;
  EXPECT_EQ(gain_curve(one, system_of({{0, 0}, {0, 0}}), "bpb").points.size(), 7U);
  EXPECT_TRUE(gain_curve(one, SystemResult(), "bpb").points.empty());
  EXPECT_TRUE(gain_curve(one, one, "accuracy").points.empty());
}

TEST(GainCurve, TheTrendIsFittedToTheLastHalfOfEachSeed) {
  auto one = system_of({{0, -0.1}, {0, -0.2}, {0, -0.3}});
  for (auto& curve : one.score_curves) {
    curve.scores["bpb"][0] = 100;  // in the first half: of no weight
  }
  const auto curve = gain_curve(one, system_of({{0, 0}, {0, 0}, {0, 0}}), "bpb");
  ASSERT_TRUE(curve.fit);
  EXPECT_EQ(curve.fit->points, 4U);
  EXPECT_NEAR(curve.fit->per_doubling.difference, -0.2, 1e-12);
  // 0.1 / sqrt(3) times t of two degrees of freedom, 4.3027.
  EXPECT_NEAR(curve.fit->per_doubling.high, -0.2 + 4.3027 * 0.1 / std::sqrt(3.0), 1e-4);
}

TEST(GainCurve, TheCrossingHasFiellersInterval) {
  // Levels 0.5 +- 0.01 at the first point, all falling by 0.1 a doubling: 0 at five doublings.
  const auto curve = gain_curve(system_of({{0.49, -0.1}, {0.50, -0.1}, {0.51, -0.1}}),
                                system_of({{0, 0}, {0, 0}, {0, 0}}), "bpb");
  ASSERT_TRUE(curve.fit && curve.fit->crossing);
  const auto& crossing = *curve.fit->crossing;
  EXPECT_NEAR(std::log2(crossing.tokens), 15, 1e-9);
  // With equal slopes the interval of the level divided by the slope.
  const double half = 4.30265 * 0.01 / std::sqrt(3.0) / 0.1;
  EXPECT_NEAR(std::log2(crossing.low), 15 - half, 1e-5);
  EXPECT_NEAR(std::log2(crossing.high), 15 + half, 1e-5);
}

TEST(GainCurve, TheEndsOfTheCrossingAreWhereTheFittedIntervalTouchesZero) {
  const std::vector<std::pair<double, double>> lines = {
      {0.60, -0.10}, {0.57, -0.11}, {0.65, -0.13}};
  const auto curve = gain_curve(system_of(lines), system_of({{0, 0}, {0, 0}, {0, 0}}), "bpb");
  ASSERT_TRUE(curve.fit && curve.fit->crossing);
  const auto at = [&](double tokens) {
    std::vector<double> fitted;
    for (const auto& [level, slope] : lines) {
      fitted.push_back(level + slope * std::log2(tokens / kFirstTokens));
    }
    return *student_difference(fitted);
  };
  EXPECT_NEAR(at(curve.fit->crossing->low).low, 0, 1e-9);
  EXPECT_NEAR(at(curve.fit->crossing->high).high, 0, 1e-9);
}

TEST(GainCurve, NoCrossingIsToldWhereTheTrendIsNotSureOrTooFarAway) {
  const auto none = system_of({{0, 0}, {0, 0}, {0, 0}});
  const auto unsure = gain_curve(system_of({{0.4, -0.1}, {0.4, 0.1}, {0.4, -0.2}}), none, "bpb");
  ASSERT_TRUE(unsure.fit);
  EXPECT_FALSE(unsure.fit->crossing);
  // 0 at 20 doublings, 13 behind the last point.
  const auto far = gain_curve(system_of({{2.0, -0.1}, {2.0, -0.1}, {2.01, -0.1}}), none, "bpb");
  ASSERT_TRUE(far.fit);
  EXPECT_LT(far.fit->per_doubling.high, 0);
  EXPECT_FALSE(far.fit->crossing);
}

TEST(GainCurve, BeforeTheFirstPointOfTheLineNoCrossingIsTold) {
  const auto none = system_of({{0, 0}, {0, 0}, {0, 0}});
  // 0 at three doublings; the line begins at four.
  const auto before = gain_curve(system_of({{0.3, -0.1}, {0.3, -0.1}, {0.301, -0.1}}), none, "bpb");
  ASSERT_TRUE(before.fit);
  EXPECT_FALSE(before.fit->crossing);
  // At four and a half: told, but the interval begins before the line.
  const auto open = gain_curve(system_of({{0.42, -0.1}, {0.45, -0.1}, {0.48, -0.1}}), none, "bpb");
  ASSERT_TRUE(open.fit && open.fit->crossing);
  EXPECT_NEAR(std::log2(open.fit->crossing->tokens), 14.5, 1e-9);
  EXPECT_EQ(open.fit->crossing->low, 0);
}

TEST(GainCurve, AnIntervalThatEndsTooFarAwayIsOpen) {
  const auto curve = gain_curve(system_of({{1.15, -0.1}, {1.2, -0.1}, {1.25, -0.1}}),
                                system_of({{0, 0}, {0, 0}, {0, 0}}), "bpb");
  // 0 at 12 doublings, 13 may be told of, the interval ends at 13.2.
  ASSERT_TRUE(curve.fit && curve.fit->crossing);
  EXPECT_NEAR(std::log2(curve.fit->crossing->tokens), 22, 1e-9);
  EXPECT_GT(curve.fit->crossing->low, 0);
  EXPECT_TRUE(std::isinf(curve.fit->crossing->high));
}

TEST(GainCurve, OneSeedOrFewPointsHaveNoTrend) {
  const auto one = gain_curve(system_of({{1, 0.1}}), system_of({{0, 0}}), "bpb");
  EXPECT_FALSE(one.fit);
  EXPECT_FALSE(one.points.at(0).seeds);
  EXPECT_FALSE(
      gain_curve(system_of({{1, 0.1}, {1, 0.2}}, 4), system_of({{0, 0}, {0, 0}}, 4), "bpb").fit);
}

TrainingCurve curve_of(std::vector<double> loops) {
  TrainingCurve curve{.seed = 7, .mean_loops = std::move(loops)};
  for (size_t i = 0; i < curve.mean_loops.size(); ++i) {
    curve.step.push_back(static_cast<int64_t>(100 * (i + 1)));
    curve.validation_loss.push_back(5.0 - double(i));
  }
  return curve;
}

TEST(LoopOnset, IsTheFirstValidationATenthOfTheRangeAboveTheMinimum) {
  // 1.5 lies before the minimum; 1.09 is under a tenth of 1.0 to 2.0, 1.11 above it.
  const auto onset = loop_onset(curve_of({1.5, 1.0, 1.09, 1.11, 2.0}));
  ASSERT_TRUE(onset);
  EXPECT_EQ(onset->seed, 7);
  EXPECT_EQ(onset->step, 400);
  EXPECT_DOUBLE_EQ(onset->validation_loss, 2.0);
  EXPECT_DOUBLE_EQ(onset->mean_loops, 1.11);
}

TEST(LoopOnset, LoopsThatDoNotGrowHaveNone) {
  EXPECT_FALSE(loop_onset(curve_of({2.0, 1.5, 1.2, 1.0})));
  EXPECT_FALSE(loop_onset(curve_of({1.0, 1.01, 1.04})));
  EXPECT_FALSE(loop_onset(curve_of({1.0, 2.0})));
  EXPECT_FALSE(loop_onset(TrainingCurve()));
}

TEST(LoopOnsets, CountTheSeedsThatGrow) {
  SystemResult system;
  system.curves = {curve_of({1.0, 1.5, 2.0}), curve_of({1.0, 1.0, 1.0}), curve_of({1.0, 1.0, 3.0})};
  EXPECT_EQ(loop_onsets(system).size(), 2U);
}

}  // namespace
}  // namespace loopbank
