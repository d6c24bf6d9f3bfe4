#include "loopbank/study/figures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "figures_sample.h"
#include "loopbank/study/csv.h"
#include "loopbank/study/grid.h"
#include "loopbank/study/report.h"
#include "report_sample.h"

namespace loopbank {
namespace {

using testing::benchmark_part;
using testing::figure_of;
using testing::figures_of;
using testing::series_labelled;
using testing::typed;
using Json = nlohmann::ordered_json;

TEST(MakeFigures, EveryPictureOfAFullStudyIsThere) {
  std::set<std::string> ids;
  const auto results = testing::full_results();
  for (const auto& part : results["parts"]) {
    for (const auto& figure : figures_of(part)) {
      ids.insert(figure.id);
      EXPECT_TRUE(figure.conclusion.ends_with('.')) << figure.id << ": " << figure.conclusion;
      for (const auto& series : figure.series) {
        EXPECT_EQ(series.x.size(), series.y.size()) << figure.id;
        EXPECT_TRUE(series.low.empty() || series.low.size() == series.y.size()) << figure.id;
        EXPECT_EQ(series.low.size(), series.high.size()) << figure.id;
        EXPECT_TRUE(series.error.empty() || series.error.size() == series.y.size()) << figure.id;
        EXPECT_TRUE(series.notes.empty() || series.notes.size() == series.y.size()) << figure.id;
        EXPECT_NE(series.label, "") << figure.id;
        for (const double x : series.x) {
          EXPECT_TRUE(figure.x_names.empty() || x < double(figure.x_names.size())) << figure.id;
        }
      }
    }
  }
  EXPECT_EQ(ids, (std::set<std::string>{"scores",
                                        "tasks",
                                        "relative-change",
                                        "difficulty-accuracy",
                                        "difficulty-bpb",
                                        "loop-budget",
                                        "ponder",
                                        "parameters",
                                        "grid",
                                        "loops-by-layer",
                                        "halting",
                                        "loop-scale",
                                        "gates",
                                        "state-norm",
                                        "state-change",
                                        "loops-by-class",
                                        "gates-by-class",
                                        "phase",
                                        "study-intervals",
                                        "gain-by-tokens",
                                        "ponder-weight",
                                        "gates-by-layer",
                                        "thinking",
                                        "exits-saved",
                                        "exits-flops",
                                        "exits-time",
                                        "exits-keys",
                                        "loops-over-training",
                                        "local-gate-over-training",
                                        "validation-loss"}));
}

TEST(MakeFigures, WhatWasNotMeasuredHasNoPicture) {
  std::set<std::string> ids;
  for (const auto& figure : figures_of(testing::poor_results()["parts"][0])) {
    ids.insert(figure.id);
  }
  EXPECT_EQ(ids, (std::set<std::string>{"scores", "relative-change", "parameters"}));
  EXPECT_TRUE(figures_of(Json::object()).empty());
}

TEST(MakeFigures, ScoresAndTheirBarsAreThoseOfTheJson) {
  auto part = benchmark_part();
  part["systems"][1]["scores"]["facts_bpb"] = {{"mean", 0.321}, {"standard_error", 0.004}};
  const auto figures = figures_of(part);
  const auto& series = series_labelled(figure_of(figures, "scores"), "Loop-3", "facts BPB");
  EXPECT_EQ(series.x, std::vector<double>{1});
  EXPECT_EQ(series.y, std::vector<double>{0.321});
  EXPECT_EQ(series.error, std::vector<double>{0.004});
  EXPECT_EQ(series.color, "loops-0");
}

TEST(MakeFigures, RelativeChangesStandBesideThePapers) {
  auto part = benchmark_part();
  part["systems"][0]["scores"]["reasoning_bpb"]["mean"] = 2.0;
  part["systems"][1]["scores"]["reasoning_bpb"]["mean"] = 1.5;
  part["systems"][1]["against"]["isopar"]["reasoning_bpb"] = {
      {"difference", -0.5}, {"low", -0.6}, {"high", -0.4}};
  const auto figures = figures_of(part);
  const auto& figure = figure_of(figures, "relative-change");
  const auto& here = series_labelled(figure, "here", "reasoning BPB");
  EXPECT_DOUBLE_EQ(here.y[0], -25.0);
  EXPECT_DOUBLE_EQ(here.error[0], 5.0);
  const auto& paper = series_labelled(figure, "paper", "reasoning BPB");
  EXPECT_NEAR(paper.y[0], -22.0, 0.05);
  EXPECT_EQ(figure.x_names.front(), "Loop-3");
}

TEST(MakeFigures, SweepRunsAlongTheWeightFromThePapersOwn) {
  const auto figures = figures_of(benchmark_part());
  const auto& sweep = series_labelled(figure_of(figures, "ponder"), "ponder sweep");
  EXPECT_EQ(sweep.notes,
            (std::vector<std::string>{"weight 0", "weight 0.001", "weight 0.01", "weight 0.1"}));
  EXPECT_GT(sweep.x.front(), sweep.x.back());
}

TEST(MakeFigures, SeedsAreAveragedStepByStep) {
  auto part = benchmark_part();
  part["curves"]["loop3"] = {
      {{"seed", 1}, {"step", {10, 20, 30}}, {"validation_loss", {4.0, 2.0, 1.0}}},
      {{"seed", 2}, {"step", {10, 20}}, {"validation_loss", {6.0, 3.0}}}};
  const auto figures = figures_of(part);
  const auto& series = series_labelled(figure_of(figures, "validation-loss"), "Loop-3");
  EXPECT_EQ(series.x, (std::vector<double>{10, 20}));
  EXPECT_EQ(series.y, (std::vector<double>{5.0, 2.5}));
  EXPECT_NEAR(series.error[0], std::sqrt(2.0), 1e-12);
}

TEST(MakeFigures, ManySystemsBeginWithThoseThatTellTheStory) {
  const auto figures = figures_of(benchmark_part());
  const auto& figure = figure_of(figures, "difficulty-bpb");
  std::set<std::string> shown;
  for (const auto& series : figure.series) {
    if (!series.hidden) {
      shown.insert(series.label);
    }
  }
  EXPECT_EQ(shown, (std::set<std::string>{"IsoPar", "Loop-3", "IsoFLOP", "Mem (g0=3)"}));
}

TEST(ConclusionsCsv, AFigureIsARow) {
  const Figure figure{.id = "f",
                      .section = "",
                      .title = "T",
                      .caption = "",
                      .x_title = "",
                      .y_title = "",
                      .conclusion = "So, it is."};
  EXPECT_EQ(conclusions_csv({figure}), "figure,title,conclusion\nf,T,\"So, it is.\"\n");
}

TEST(GridOf, ThePapersSystemsFillTheColumnWithoutMemory) {
  const auto part = typed(benchmark_part());
  std::set<std::pair<int64_t, int64_t>> places;
  for (const auto& cell : grid_of(part)) {
    EXPECT_TRUE(places.insert({cell.loops, cell.slots}).second);
  }
  EXPECT_EQ(places.size(), 9U);
  EXPECT_TRUE(places.contains({5, 0}));
  EXPECT_FALSE(places.contains({7, 0}));  // no row of the grid
  EXPECT_TRUE(grid_of(typed(testing::poor_results()["parts"][0])).empty());
}

TEST(GridOf, OfThePapersGatesThoseThatStartOpenStandInACell) {
  auto part = typed(benchmark_part());
  const auto open = *part.find("mem-g3");
  const auto slots = open.local_slots + open.global_slots;
  std::erase_if(part.systems, [&](const SystemResult& system) {
    return system.group == "grid" && system.loops == open.loops &&
           system.local_slots + system.global_slots == slots;
  });
  // A neighbour in the row and one in the column, so that the cell lies within the grid.
  for (const auto quantity : {&SystemResult::loops, &SystemResult::local_slots}) {
    auto neighbour = open;
    neighbour.name = "neighbour";
    neighbour.group = "grid";
    neighbour.*quantity += 1;
    part.systems.push_back(neighbour);
  }
  bool found = false;
  for (const auto& cell : grid_of(part)) {
    if (cell.loops == open.loops && cell.slots == slots) {
      found = true;
      EXPECT_EQ(cell.system->name, "mem-g3");
    }
  }
  EXPECT_TRUE(found);
}

TEST(ShownPart, OneSystemOneColour) {
  const auto part = typed(benchmark_part());
  std::map<std::string, std::string> colors;
  for (const auto& system : shown_part(part).systems) {
    colors[system.result->name] = system.series.color;
  }
  EXPECT_EQ(colors.at("isopar"), "dense-0");
  EXPECT_EQ(colors.at("isoflop-m"), "dense-3");
  EXPECT_EQ(colors.at("mem-g3"), "memory-2");
  EXPECT_EQ(colors.at("grid-1-0"), "other-0");
}

TEST(FigureCsv, APointIsARow) {
  const Figure figure{.id = "f",
                      .section = "loops",
                      .title = "",
                      .caption = "",
                      .x_title = "layer, counted",
                      .y_title = "loops",
                      .series = {{.label = "a \"b\"", .x = {1, 2}, .y = {0.1, 2}},
                                 {.label = "c", .x = {1}, .y = {1e-9}}}};
  EXPECT_EQ(
      figure_csv(figure),
      "series,\"layer, counted\",loops\n\"a \"\"b\"\"\",1,0.1\n\"a \"\"b\"\"\",2,2\nc,1,1e-09\n");
}

TEST(FigureCsv, NamesErrorsNotesAndPanelsHaveColumns) {
  const Figure figure{
      .id = "f",
      .section = "loops",
      .title = "",
      .caption = "",
      .x_title = "system",
      .y_title = "score",
      .x_names = {"A", "B"},
      .series = {{.label = "s", .panel = "p", .x = {1}, .y = {3}, .error = {0.5}, .notes = {"n"}}},
      .error_label = "spread"};
  EXPECT_EQ(figure_csv(figure), "panel,series,system,score,spread,note\np,s,B,3,0.5,n\n");
  auto with_interval = figure;
  with_interval.series[0].error.clear();
  with_interval.series[0].low = {2.5};
  with_interval.series[0].high = {std::nan("")};
  EXPECT_EQ(figure_csv(with_interval), "panel,series,system,score,low,high,note\np,s,B,3,2.5,,n\n");
}

TEST(MakeReport, CsvHasEveryFigureTheTableAndTheFindingsOfEveryPart) {
  auto results = testing::full_results();
  results["parts"][0]["systems"][0]["label"] = "Iso,Par";
  results["parts"][0]["systems"][0]["scores"]["facts_bpb"] = {{"mean", 0.5}};
  const auto files = make_report(study_result_from_json(results)).csv;
  for (const char* name : {"benchmark-table.csv", "benchmark-claims.csv", "text-table.csv",
                           "benchmark-grid.csv", "text-tasks.csv", "text-conclusions.csv"}) {
    EXPECT_TRUE(files.contains(name)) << name;
  }
  const auto& table = files.at("benchmark-table.csv");
  EXPECT_NE(table.find("system,label,group,facts_accuracy,facts_accuracy_spread,"),
            std::string::npos);
  EXPECT_NE(table.find("\nisopar,\"Iso,Par\",paper,"), std::string::npos);
  EXPECT_NE(table.find(",0.5,,,"), std::string::npos);  // no spread, no error: empty and not 0
  const auto& claims = files.at("benchmark-claims.csv");
  EXPECT_EQ(std::count(claims.begin(), claims.end(), '\n'), 6);
  EXPECT_TRUE(make_report({}).csv.empty());
}

}  // namespace
}  // namespace loopbank
