// Figures that rest on several seeds: their intervals, and what may be concluded from them.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "../support/test_directory.h"
#include "figures_sample.h"
#include "loopbank/benchmark/biographies.h"
#include "loopbank/study/capacity.h"
#include "loopbank/study/figure_words.h"
#include "loopbank/study/gain.h"

namespace loopbank {
namespace {

using testing::benchmark_part;
using testing::expect_contains;
using testing::figure_of;
using testing::figures_of;
using testing::series_labelled;
using testing::typed;

/// Everything of a part but what its first seed measured.
PartResult with_one_seed(PartResult part) {
  part.seeds = {1};
  for (auto& system : part.systems) {
    system.seeds = {1};
    for (auto& [column, score] : system.scores) {
      score.spread = {};
      score.by_seed.resize(1);
    }
    system.expected_flops_by_seed.resize(1);
    for (auto& thinking : system.thinking) {
      thinking.seeds = 1;
    }
    system.curves.resize(1);
    system.score_curves.resize(std::min<size_t>(system.score_curves.size(), 1));
  }
  for (auto& [pair, comparison] : part.comparisons) {
    comparison.seeds = {};
    comparison.num_seeds = 1;
    judge(comparison, pair.column.ends_with("bpb"));
  }
  return part;
}

TEST(EvidenceFigures, NothingIsConcludedFromOneSeed) {
  const auto part = with_one_seed(typed(benchmark_part()));
  for (const auto& figure : figures_of(part)) {
    const bool is_one_model = figure.conclusion.starts_with("This is one model");
    EXPECT_TRUE(is_one_model || figure.conclusion.starts_with("One seed: nothing"))
        << figure.id << ": " << figure.conclusion;
    if (figure.error_label == kSeedsInterval) {
      for (const auto& series : figure.series) {
        for (const double low : series.low) {
          EXPECT_TRUE(std::isnan(low)) << figure.id;
        }
      }
    }
  }
}

/// As it is read from results.json.
SeedDifference over_seeds(const Difference& difference) {
  SeedDifference seeds;
  static_cast<Difference&>(seeds) = difference;
  return seeds;
}

TEST(EvidenceFigures, IntervalsAreThoseThatVerdictsRestOn) {
  auto part = typed(benchmark_part());
  auto& comparison = part.comparisons.at({"loop3", "isopar", "facts_bpb"});
  comparison.questions = {.difference = -0.2, .low = -0.3, .high = -0.1, .p = 0.01};
  comparison.seeds = over_seeds(comparison.questions);
  judge(comparison, /*lower_is_better=*/true);
  auto& open = part.comparisons.at({"loop5", "isopar", "facts_bpb"});
  open.seeds = over_seeds({.difference = -0.2, .low = -0.5, .high = 0.1, .p = 0.2});
  judge(open, /*lower_is_better=*/true);
  const auto figures = figures_of(part);
  const auto& figure = figure_of(figures, "study-intervals");
  const auto& sure = series_labelled(figure, "Loop-3", "facts BPB");
  EXPECT_EQ(sure.y, std::vector<double>{-0.2});
  EXPECT_EQ(sure.low, std::vector<double>{-0.3});
  EXPECT_EQ(sure.high, std::vector<double>{-0.1});
  EXPECT_FALSE(sure.hollow);
  EXPECT_TRUE(series_labelled(figure, "Loop-5", "facts BPB").hollow);
  EXPECT_EQ(figure.x_names.front(), "Loop-3");
  EXPECT_EQ(figure.series.front().panel, "facts BPB, lower is better");
  expect_contains(figure.conclusion, "better in facts BPB: Loop-3");
  EXPECT_EQ(figure.conclusion.find("facts BPB: Loop-3, Loop-5"), std::string::npos);
}

TEST(EvidenceFigures, GainsAreFittedOverTheTokensAndTheirCrossingIsNamed) {
  const auto part = typed(benchmark_part());
  const auto figures = figures_of(part);
  const auto& figure = figure_of(figures, "gain-by-tokens");
  EXPECT_TRUE(figure.x_log);
  const auto& series = series_labelled(figure, "Loop-3", "reasoning BPB");
  ASSERT_EQ(series.x.size(), 10U);
  EXPECT_DOUBLE_EQ(series.x.back(), 4.096e6);
  EXPECT_NEAR(series.y.back(), -0.02 * std::log2(4.096), 1e-9);
  EXPECT_LT(series.low.back(), series.y.back());
  expect_contains(figure.conclusion, "Loop-3 in reasoning BPB by -0.02 [");
  expect_contains(figure.conclusion, "which crosses 0 at 1.0 M tokens");
  expect_contains(figure.conclusion, "for the worse: IsoFLOP in facts BPB by +0.01");
}

TEST(EvidenceFigures, AStartIsShownAgainstTheSameModelOfThePaper) {
  auto part = typed(benchmark_part());
  auto start = *part.find("loop3");
  start.name = "loop3-paper-start";
  start.label = "Loop-3 from 0.0009";
  start.group = "start";
  for (auto& curve : start.score_curves) {
    for (auto& [column, scores] : curve.scores) {
      for (auto& score : scores) {
        score += 0.25;
      }
    }
  }
  part.systems.push_back(start);
  const auto figures = figures_of(part);
  const auto& figure = figure_of(figures, "scale-start");
  const auto& series = series_labelled(figure, "Loop-3 less Loop-3 from 0.0009", "facts BPB");
  ASSERT_EQ(series.y.size(), 10U);
  EXPECT_NEAR(series.y.front(), -0.25, 1e-12);
  expect_contains(figure.conclusion, "no trend");
}

TEST(EvidenceFigures, PhaseHasALineASeedAndMarksWhereLoopsGrow) {
  const auto part = typed(benchmark_part());
  const auto figures = figures_of(part);
  const auto& figure = figure_of(figures, "phase");
  size_t lines = 0;
  size_t marks = 0;
  for (const auto& series : figure.series) {
    if (series.label == "Loop-3") {
      (series.apart ? marks : lines) += series.apart ? series.y.size() : 1;
    }
  }
  EXPECT_EQ(lines, 3U);
  EXPECT_EQ(marks, 3U);
  expect_contains(figure.conclusion, "Loop-3 in 3 of 3 seeds at ");
  ASSERT_EQ(figure.references.size(), 1U);
  EXPECT_TRUE(figure.references[0].of_x);
}

TEST(EvidenceFigures, LayersAreMeansOverSeedsAtTheEnd) {
  auto part = benchmark_part();
  part["curves"]["loop3"] = {
      {{"seed", 1}, {"step", {1, 2}}, {"loops_by_layer", {{9, 9}, {1.0, 2.0}}}},
      {{"seed", 2}, {"step", {1, 2}}, {"loops_by_layer", {{9, 9}, {1.2, 2.2}}}}};
  const auto figures = figures_of(part);
  const auto& figure = figure_of(figures, "loops-by-layer");
  const auto& series = series_labelled(figure, "Loop-3");
  EXPECT_EQ(series.x, (std::vector<double>{1, 2}));
  EXPECT_NEAR(series.y[1], 2.1, 1e-12);
  EXPECT_NEAR(series.high[1], 2.1 + 12.7062 * 0.1, 1e-3);  // t of one degree of freedom
  expect_contains(figure.conclusion, "Loop-3 by +1.00 [+1.00, +1.00]");
  EXPECT_EQ(figure_of(figures, "gates-by-layer").series.front().panel, "local gates");
}

TEST(EvidenceFigures, SweepsStandOverSeedsAndAreComparedWithTheirFirst) {
  auto part = typed(benchmark_part());
  auto biased = *part.find("loop3");
  biased.name = "router-late";
  biased.label = "Loop-3, router bias -2";
  biased.group = "router";
  biased.router_bias = -2;
  biased.expected_flops_by_seed = {2e6, 2.01e6, 2.02e6};
  part.systems.push_back(biased);
  auto& base = *const_cast<SystemResult*>(part.find("loop3"));
  base.expected_flops_by_seed = {1e6, 1.01e6, 1.02e6};
  const auto figures = figures_of(part);
  const auto& figure = figure_of(figures, "router-bias");
  EXPECT_EQ(figure.x_names,
            (std::vector<std::string>{"Loop-3, router bias -2, bias -2", "Loop-3, bias 0"}));
  const auto& flops = series_labelled(figure, "value", "expected forward FLOPs");
  EXPECT_NEAR(flops.y[1], 1.01e6, 1e-3);
  EXPECT_NEAR(flops.high[1], 1.01e6 + 4.30265 * 1e4 / std::sqrt(3.0), 10);
  expect_contains(figure.conclusion, "Loop-3, bias 0 lowers expected forward FLOPs a token");
  expect_contains(figure_of(figures, "ponder-weight").conclusion, "weight 0.1");
}

TEST(EvidenceFigures, ThinkingHasRhoBesideEachLayer) {
  const auto figures = figures_of(benchmark_part());
  const auto& figure = figure_of(figures, "thinking");
  const auto& series =
      series_labelled(figure, "layer 3 (rho 0.20, 0.15 to 0.25)", "Loop-3, reasoning");
  EXPECT_EQ(series.x, (std::vector<double>{1, 2, 3, 4}));
  EXPECT_NEAR(series.y[3], 1.2 + 0.2 * 4, 1e-12);
  EXPECT_EQ(series.notes[0], "250 tokens");
  expect_contains(figure.conclusion, "Over 3 seeds: Tokens with more steps behind them take more");
  expect_contains(figure.conclusion, "take more loops in Loop-3, reasoning (rho 0.41)");
}

TEST(EvidenceFigures, ThinkingIsToldOfSystemsWithAnIntervalOverTheirOwnSeeds) {
  auto part = typed(benchmark_part());
  for (auto& system : part.systems) {
    for (auto& thinking : system.thinking) {
      if (system.name == "loop3") {
        thinking.correlation = {.rho = 0.3, .low = 0.3, .high = 0.3};
        thinking.by_layer[0] = {};
      }
      if (system.name == "loop5") {
        thinking.seeds = 1;
      }
    }
  }
  const auto figures = figures_of(part);
  const auto& figure = figure_of(figures, "thinking");
  EXPECT_NO_THROW((void)series_labelled(figure, "layer 1 (rho 0.00, no interval)", "Loop-3"));
  EXPECT_NO_THROW((void)series_labelled(figure, "mean (rho 0.30, no interval)", "Loop-3"));
  expect_contains(figure.conclusion,
                  "Whether loops go with the steps cannot be told in Loop-3, reasoning (rho 0.30)");
  expect_contains(figure.conclusion, "nothing can be concluded: Loop-5, reasoning.");
}

TEST(EvidenceFigures, TrendsOfAFigureAreAdjustedAndPairsOfOneSeedOrHiddenLeaveTheOthersAlone) {
  auto part = typed(benchmark_part());
  for (auto& system : part.systems) {
    if (system.name == "isoflop") {
      system.score_curves.resize(1);
    }
    if (system.name == "loop7") {
      system.score_curves.resize(1);  // hidden at first
    }
  }
  const auto told = [](const PartResult& changed) {
    const auto figures = figures_of(changed);
    return figure_of(figures, "gain-by-tokens").conclusion;
  };
  const auto sure = told(part);
  expect_contains(sure, "Over 3 seeds, with plain 95 % intervals and p adjusted by Holm for ");
  expect_contains(sure, "Loop-3 in reasoning BPB by -0.02 [");
  expect_contains(sure, "Of one common seed, and so without a trend: IsoFLOP.");
  // A plain p of about 0.03 is none of several tests.
  for (auto& system : part.systems) {
    for (size_t seed = 0; system.name == "loop3" && seed < 3; ++seed) {
      auto& curve = system.score_curves[seed];
      for (auto& [column, scores] : curve.scores) {
        for (size_t i = 0; i < scores.size(); ++i) {
          scores[i] += 0.006 * (double(seed) - 1) * std::log2(curve.tokens[i]);
        }
      }
    }
  }
  const auto* loop3 = part.find("loop3");
  const auto curve = gain_curve(*loop3, *part.find("isopar"), "reasoning_bpb");
  EXPECT_TRUE(curve.fit->per_doubling.excludes_zero());
  EXPECT_EQ(told(part).find("Loop-3"), std::string::npos) << told(part);
}

TEST(EvidenceFigures, LossesArePairedByTheSeedsOfTheirCurves) {
  auto part = typed(benchmark_part());
  for (auto& system : part.systems) {
    const double better = system.name == "loop3" ? -0.1 : 0.0;
    system.curves.clear();
    for (const int64_t seed : {2, 3}) {
      system.curves.push_back(
          {.seed = seed,
           .step = {1},
           .validation_loss = {double(seed) + better + 0.001 * better * double(seed)}});
    }
  }
  // The curves' order is none of the seeds'.
  for (auto& system : part.systems) {
    if (system.name == "loop3") {
      std::swap(system.curves[0], system.curves[1]);
    }
  }
  const auto figures = figures_of(part);
  EXPECT_EQ(figure_of(figures, "validation-loss").conclusion,
            "At the end, against IsoPar over 2 seeds: lower validation loss of Loop-3. The others "
            "are not told apart.");
}

TEST(EvidenceFigures, IntervalsThatAreCutAtTheFrameAreSaidToBe) {
  Figure figure{
      .id = "f", .section = "", .title = "", .caption = "Shown.", .x_title = "", .y_title = ""};
  figure.series.push_back({.label = "a"});
  figure.series[0].add(0, 1.0, 0.5, 1.5);
  figure.series[0].add(1, 2.0, 0.5, 2.5);
  note_cut_intervals(figure);
  EXPECT_EQ(figure.caption, "Shown.");
  figure.series[0].add(2, 1.5, -7.0, 9.0);
  auto bars = figure;
  bars.kind = FigureKind::kDots;
  note_cut_intervals(bars);
  EXPECT_EQ(bars.caption, "Shown.") << "drawn to their ends";
  note_cut_intervals(figure);
  expect_contains(figure.caption, "are cut at the frame.");
}

TEST(CapacityFigure, BitsStandAgainstWhatThereIsToKnow) {
  StudyResult results;
  EXPECT_FALSE(capacity_figure(results, ShownPart()));
  for (const int64_t people : {100, 1000}) {
    PartResult part{.name = "biographies", .title = "", .seeds = {1, 2}};
    part.columns = {{.key = "bits",
                     .title = "bits a parameter",
                     .kind = "knowledge",
                     .measure = Measure::kBitsAParameter,
                     .tasks = {},
                     .paper_key = "",
                     .paper_title = "",
                     .guessing = {},
                     .facts = kFactsOfPerson * people}};
    part.systems.push_back({.name = "isopar",
                            .label = "IsoPar",
                            .group = "paper",
                            .family = "dense",
                            .parameters = 1e4});
    part.systems[0].seeds = {1, 2};
    part.systems[0].scores["bits"] = {.mean = 0.5, .by_seed = {0.4, 0.6}};
    results.parts.push_back(part);
  }
  const auto points = capacity_points(results);
  ASSERT_EQ(points.size(), 2U);
  const auto figure = capacity_figure(results, shown_part(results.parts[0]));
  ASSERT_TRUE(figure);
  const auto& known = series_labelled(*figure, "IsoPar", "bits known");
  EXPECT_EQ(known.x, (std::vector<double>{points[0].facts_bits, points[1].facts_bits}));
  EXPECT_NEAR(known.y[1], 5000, 1e-9);
  const auto& share = series_labelled(*figure, "IsoPar", "bits a parameter");
  EXPECT_NEAR(share.y[1], 0.5, 1e-12);
  EXPECT_EQ(share.low[1], 0) << "no fewer bits than none";
  EXPECT_NEAR(share.high[1], points[1].high / 1e4, 1e-12);
  expect_contains(figure->conclusion, "1000 people");
  EXPECT_EQ(series_labelled(*figure, "all there is").y, known.x);
  // Of one seed the interval is over its questions.
  for (auto& part : results.parts) {
    part.systems[0].seeds = {1};
    part.systems[0].scores["bits"] = {.mean = 0.5, .error = 0.1, .by_seed = {0.5}};
  }
  const auto of_one = capacity_figure(results, shown_part(results.parts[0]));
  EXPECT_TRUE(std::isnan(series_labelled(*of_one, "IsoPar", "bits known").low[1]));
  EXPECT_TRUE(of_one->conclusion.starts_with("One seed: nothing")) << of_one->conclusion;
}

}  // namespace
}  // namespace loopbank
