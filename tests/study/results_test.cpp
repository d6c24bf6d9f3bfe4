#include "loopbank/study/results.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "../support/occurrences.h"
#include "../support/test_directory.h"
#include "loopbank/study/table.h"
#include "stored_scores.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using testing::count_of;
using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;

TaskScore task_score(const std::string& name, double accuracy, double bpb) {
  return {.task = name,
          .accuracy = {accuracy, 0.03},
          .bpb = {bpb, 0.04},
          .instances = 4,
          .mean_loops = 1.25};
}

/// Systems whose measured scores are the paper's own, over as many seeds as asked for: each seed is
/// off by a little, the same for all.
PartResult as_in_the_paper(const fs::path& folder, int seeds = 3) {
  const auto config = study_preset(Scale::kDemo);
  PartResult part{.name = "benchmark",
                  .title = "Embedded benchmark",
                  .seeds = {},
                  .columns = columns_of(config),
                  .rows = {},
                  .claims = {}};
  for (const auto& system : study_systems(config)) {
    SystemRow row{.system = system, .runs = {}, .scores = {}};
    for (int seed = 0; seed < seeds; ++seed) {
      const auto& paper = *system.paper;
      const double off = 0.01 * seed;
      RunResult run;
      run.system = system.name;
      run.seed = seed;
      run.parameters = 1.5e6;
      run.tasks = {task_score("facts", paper.commonsense_accuracy, paper.commonsense_bpb + off),
                   task_score("reasoning", 0.5, paper.math_bpb + off)};
      run.mean_loops = 1.25;
      run.tokens_per_second = 15'400;
      row.runs.push_back(run);
      row.scores.push_back(folder / fmt::format("{}-{}", system.name, seed));
      // Seeds tell the systems apart to within 0.002.
      const double jitter = 0.001 * ((seed * 7 + static_cast<int>(system.name.size())) % 3);
      std::vector<testing::DocumentScore> documents;
      for (int i = 0; i < 4; ++i) {
        documents.push_back({std::to_string(i), 0.5, paper.math_bpb + off + jitter + 0.1 * i});
      }
      testing::write_scores(row.scores.back(), documents, {"reasoning"});
      for (auto& document : documents) {
        document.bpb += paper.commonsense_bpb - paper.math_bpb;
      }
      testing::write_scores(row.scores.back() / "facts", documents, {"facts"});
      // One folder holds both tasks.
      auto metrics = nlohmann::json::parse(read_file(row.scores.back() / "metrics.json"));
      metrics["results"].push_back({{"task", "facts"},
                                    {"metric", "acc_raw"},
                                    {"predictions", "facts/facts-predictions.jsonl"}});
      write_file_atomically(row.scores.back() / "metrics.json", metrics.dump());
    }
    part.rows.push_back(row);
  }
  for (int seed = 0; seed < seeds; ++seed) {
    part.seeds.push_back(seed);
  }
  return part;
}

TEST(RunResult, JsonReturnsWhatWasWritten) {
  const TestDirectory directory;
  auto run = as_in_the_paper(directory.path()).rows[5].runs[1];
  run.steps = 12;
  run.seconds = 3.5;
  run.difficulty = {{"sum", 3, 0.5, 1.25, 30}};
  const auto json = to_json(run);
  EXPECT_EQ(to_json(run_result_from_json(json, "here")), json);
}

TEST(RunResult, ABrokenFileIsNamed) {
  const auto error = error_of(ErrorCode::kData, [] {
    (void)run_result_from_json({{"system", "isopar"}}, "runs/isopar/result.json");
  });
  expect_contains(error, "runs/isopar/result.json: expected the result of a run");
  expect_contains(error, "seed");
}

TEST(RunResult, AColumnIsTheMeanOfItsTasks) {
  RunResult run;
  run.tasks = {task_score("x", 0.2, 1.0), task_score("y", 0.4, 3.0)};
  Column column;
  column.tasks = {"x", "y"};
  column.is_bpb = true;
  EXPECT_DOUBLE_EQ(run.score(column).value, 2.0);
  EXPECT_NEAR(run.score(column).error, 0.04 / std::sqrt(2.0), 1e-12);
  column.tasks = {"z"};
  expect_contains(error_of(ErrorCode::kData, [&] { (void)run.score(column); }), "a score for z");
}

TEST(SystemRow, MeanAndSpreadAreOverSeeds) {
  const TestDirectory directory;
  const auto part = as_in_the_paper(directory.path());
  const auto summary = part.rows[0].score(part.columns[1]);  // facts BPB: + 0, 0.01, 0.02
  EXPECT_NEAR(summary.mean, 0.859 + 0.01, 1e-12);
  EXPECT_NEAR(summary.spread.value(), 0.01, 1e-12);
  EXPECT_NEAR(summary.error, 0.04, 1e-12);
  EXPECT_EQ(summary.by_seed.size(), 3U);
  EXPECT_FALSE(as_in_the_paper(directory.path(), 1).rows[0].score(part.columns[1]).spread);
}

TEST(StudyResult, JsonCarriesTheKeysThatScriptsRead) {
  const TestDirectory directory;
  auto part = as_in_the_paper(directory.path());
  compare_systems(part);
  StudyResult result;
  result.parts = {part};
  const auto json = to_json(result);
  const auto& row = json.at("systems").at(1);
  for (const char* key :
       {"name", "parameters", "flops_per_token", "facts_accuracy", "facts_bpb", "reasoning_bpb",
        "mean_loops", "tokens_per_second", "paper", "steps", "seconds", "scores", "against"}) {
    EXPECT_TRUE(row.contains(key)) << key;
  }
  EXPECT_EQ(row["family"], "loops");
  EXPECT_TRUE(row["against"]["isopar"]["reasoning_bpb"].contains("seeds"));
  EXPECT_LT(row["against"]["isopar"]["reasoning_bpb"]["seeds"]["high"], 0.0);
  EXPECT_FALSE(json["systems"][0]["against"].contains("isopar")) << "against itself";
  EXPECT_EQ(json["parts"][0]["columns"][2]["paper_title"], "Math BPB");
  EXPECT_FALSE(json["parts"][0]["columns"][3].contains("paper_title"));
}

TEST(CompareSystems, ThePapersOwnScoresAgreeEverywhere) {
  const TestDirectory directory;
  auto part = as_in_the_paper(directory.path());
  compare_systems(part);
  ASSERT_EQ(part.claims.size(), 11U);
  for (const auto& claim : part.claims) {
    EXPECT_EQ(claim.verdict, "as in the paper") << claim.text;
    EXPECT_NEAR(claim.ours, claim.paper, 0.02) << claim.text;
  }
  EXPECT_NEAR(part.claims[0].paper, -0.22, 0.001);  // Loop-3 against IsoPar, as the paper puts it
}

TEST(CompareSystems, WhatDoesNotComeOutOrIsTooNearIsSaid) {
  const TestDirectory directory;
  auto part = as_in_the_paper(directory.path());
  // Loop-3 as bad as IsoPar where seeds disagree, and Loop-7 clearly worse.
  for (int seed = 0; seed < 3; ++seed) {
    const double off = seed == 1 ? 0.3 : -0.1;
    std::vector<testing::DocumentScore> near;
    std::vector<testing::DocumentScore> worse;
    for (int i = 0; i < 4; ++i) {
      near.push_back({std::to_string(i), 0.5, 2.163 + off});
      worse.push_back({std::to_string(i), 0.5, 2.9});
    }
    testing::write_scores(part.rows[1].scores[static_cast<size_t>(seed)], near,
                          {"reasoning", "facts"});
    testing::write_scores(part.rows[3].scores[static_cast<size_t>(seed)], worse,
                          {"reasoning", "facts"});
  }
  compare_systems(part);
  EXPECT_EQ(part.claims[0].verdict, "too near to tell");
  EXPECT_EQ(part.claims[1].verdict, "not as in the paper");
  const auto text = format_claims(part);
  EXPECT_EQ(count_of(text, "RQ1 NOT as in the paper"), 1U) << text;
  EXPECT_EQ(count_of(text, "RQ1 too near to tell"), 2U) << text;  // IsoFLOP's scores are near, too
}

TEST(CompareSystems, FindingsOfSystemsThatDidNotRunAreLeftOut) {
  const TestDirectory directory;
  auto part = as_in_the_paper(directory.path());
  part.rows.resize(2);
  compare_systems(part);
  ASSERT_EQ(part.claims.size(), 1U);
  EXPECT_EQ(part.claims[0].better, "loop3");
  part.rows.resize(1);
  compare_systems(part);
  expect_contains(format_claims(part), "None of the paper's findings");
}

TEST(FormatTable, EveryRowIsAsWideAsTheHeading) {
  const TestDirectory directory;
  const auto text = format_table(as_in_the_paper(directory.path()));
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);  // the heading above ends in a sentence
  size_t width = 0;
  for (int i = 0; i < 12; ++i) {
    std::getline(lines, line);
    width = i == 0 ? line.size() : width;
    EXPECT_NEAR(static_cast<double>(line.size()), static_cast<double>(width), 1.0) << line;
  }
}

TEST(FormatTable, MeasuredAndPaperScoresSpreadsAndSpeedStandInOneRow) {
  const TestDirectory directory;
  const auto text = format_table(as_in_the_paper(directory.path()));
  const auto row = text.substr(text.find("Loop-3"), text.find("Loop-5") - text.find("Loop-3"));
  for (const char* part : {"0.823+-.010", "1.687", "0.501", "1.5 M", "15.4 k", "1.25"}) {
    EXPECT_NE(row.find(part), std::string::npos) << part << " in " << row;
  }
  expect_contains(text, "standard deviation over seeds (0, 1, 2)");
  expect_contains(format_table(as_in_the_paper(directory.path(), 1)), "0.813+-.040");
}

TEST(FormatTable, ResidualsOfTheSolverAreShown) {
  const TestDirectory directory;
  const auto part = as_in_the_paper(directory.path());
  const auto& match = part.find("isopar-m")->system.match->baseline;
  expect_contains(format_table(part),
                  fmt::format("IsoPar-M matches Mem (g0=0) by parameters: {:+.1f} % parameters",
                              100 * match.parameters.residual()));
}

}  // namespace
}  // namespace loopbank
