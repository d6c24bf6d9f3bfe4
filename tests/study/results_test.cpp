#include "loopbank/study/results_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "../support/occurrences.h"
#include "../support/test_directory.h"
#include "loopbank/study/comparison.h"
#include "loopbank/study/table.h"
#include "report_sample.h"
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

/// The runs of a part, and the part.
struct Measured {
  std::vector<SystemRuns> runs;
  PartResult part;

  void compare() {
    part.systems.clear();
    for (const auto& of_system : runs) {
      part.systems.push_back(summarize(of_system, part.columns));
    }
    compare_systems(part, runs);
  }
};

/// Systems whose measured scores are the paper's own, over as many seeds as asked for: each seed is
/// off by a little, the same for all.
Measured as_in_the_paper(const fs::path& folder, int seeds = 3) {
  const auto config = study_preset(Scale::kDemo);
  Measured measured;
  measured.part = {.name = "benchmark",
                   .title = "Embedded benchmark",
                   .seeds = {},
                   .columns = columns_of(config),
                   .systems = {},
                   .comparisons = {},
                   .claims = {},
                   .settings = {},
                   .data = {}};
  for (const auto& system : study_systems(config)) {
    SystemRuns of_system{.system = system, .runs = {}};
    for (int seed = 0; seed < seeds; ++seed) {
      const double knowledge = system.paper.at("commonsense_bpb");
      const double reasoning = system.paper.at("math_bpb");
      const double off = 0.01 * seed;
      RunResult run;
      run.system = system.name;
      run.seed = seed;
      run.parameters = 1.5e6;
      run.tasks = {task_score("facts", system.paper.at("commonsense_accuracy"), knowledge + off),
                   task_score("reasoning", 0.5, reasoning + off)};
      run.mean_loops = 1.25;
      run.tokens_per_second = 15'400;
      of_system.runs.push_back(run);
      of_system.score_folders.push_back(folder / fmt::format("{}-{}", system.name, seed));
      const auto& scores = of_system.score_folders.back();
      // Seeds tell the systems apart to within 0.002.
      const double jitter = 0.001 * ((seed * 7 + static_cast<int>(system.name.size())) % 3);
      std::vector<testing::DocumentScore> documents;
      for (int i = 0; i < 4; ++i) {
        documents.push_back({std::to_string(i), 0.5, reasoning + off + jitter + 0.1 * i});
      }
      testing::write_scores(scores, documents, {"reasoning"});
      for (auto& document : documents) {
        document.bpb += knowledge - reasoning;
      }
      testing::write_scores(scores / "facts", documents, {"facts"});
      // One folder holds both tasks.
      auto metrics = nlohmann::json::parse(read_file(scores / "metrics.json"));
      metrics["results"].push_back({{"task", "facts"},
                                    {"metric", "acc_raw"},
                                    {"predictions", "facts/facts-predictions.jsonl"}});
      write_file_atomically(scores / "metrics.json", metrics.dump());
    }
    measured.runs.push_back(of_system);
  }
  for (int seed = 0; seed < seeds; ++seed) {
    measured.part.seeds.push_back(seed);
  }
  measured.compare();
  return measured;
}

TEST(RunResult, JsonReturnsWhatWasWritten) {
  const TestDirectory directory;
  auto run = as_in_the_paper(directory.path()).runs[5].runs[1];
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
  column.measure = Measure::kBpb;
  EXPECT_DOUBLE_EQ(run.score(column).mean, 2.0);
  EXPECT_NEAR(run.score(column).standard_error, 0.04 / std::sqrt(2.0), 1e-12);
  column.tasks = {"z"};
  expect_contains(error_of(ErrorCode::kData, [&] { (void)run.score(column); }), "a score for z");
}

TEST(ReadTrainingCurve, ValidationsOneAfterAnother) {
  const TestDirectory directory;
  const auto metrics = directory.path() / "metrics.jsonl";
  write_file_atomically(
      metrics,
      "{\"step\": 1, \"loss\": 5.5}\n"
      "{\"step\": 2, \"validation_loss\": 3.5, \"loops_by_layer\": [1, 2.5]}\n"
      "{\"step\": 4, \"validation_loss\": null, \"local_gate_by_layer\": [0.5, 0.25]}\n");
  const auto curve = read_training_curve(metrics, 7);
  EXPECT_EQ(curve.seed, 7);
  EXPECT_EQ(curve.step, (std::vector<int64_t>{2, 4}));
  EXPECT_EQ(curve.validation_loss.at(0), 3.5);
  EXPECT_TRUE(std::isnan(curve.validation_loss.at(1)));
  EXPECT_EQ(curve.loops_by_layer, (std::vector<std::vector<double>>{{1.0, 2.5}}));
  EXPECT_EQ(curve.local_gates, (std::vector<std::vector<double>>{{0.5, 0.25}}));
  EXPECT_TRUE(curve.mean_loops.empty() && curve.global_gates.empty());
  write_file_atomically(metrics, "{\"step\": 2, \"validation_loss\": \"low\"}\n");
  expect_contains(error_of(ErrorCode::kData, [&] { (void)read_training_curve(metrics, 7); }),
                  "metrics.jsonl:1: expected the validations of a run, got string");
}

TEST(Summarize, MeanAndSpreadAreOverSeeds) {
  const TestDirectory directory;
  const auto part = as_in_the_paper(directory.path()).part;
  const auto& summary = part.systems[0].scores.at("facts_bpb");  // + 0, 0.01, 0.02
  EXPECT_NEAR(summary.mean, 0.859 + 0.01, 1e-12);
  EXPECT_NEAR(summary.spread.value(), 0.01, 1e-12);
  EXPECT_NEAR(summary.error.value(), 0.04, 1e-12);
  EXPECT_EQ(summary.by_seed.size(), 3U);
  const auto one = as_in_the_paper(directory.path(), 1).part;
  EXPECT_FALSE(one.systems[0].scores.at("facts_bpb").spread);
}

TEST(StudyResult, JsonCarriesTheKeysThatScriptsRead) {
  const TestDirectory directory;
  StudyResult result;
  result.parts = {as_in_the_paper(directory.path()).part};
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

TEST(StudyResult, JsonReturnsWhatWasWritten) {
  const TestDirectory directory;
  auto measured = as_in_the_paper(directory.path());
  StudyResult result{
      .scale = "demo",
      .title = "T",
      .command = "loopbank study",
      .date = "2026-11-29",
      .machine = "here",
      .threads = 2,
      .finished = true,
      .parts = {measured.part},
      .chosen_steps = ChosenSteps{
          .limit_seconds = 300, .steps = 310, .steps_of_config = 960, .left_out = {"Loop-5"}}};
  auto& part = result.parts.front();
  part.settings = "[model]\n";
  part.data = R"({"recipe": {"seed": 1}})";
  part.systems[1].curves = {{.seed = 0,
                             .step = {10, 20},
                             .validation_loss = {3.5, std::numeric_limits<double>::quiet_NaN()},
                             .loops_by_layer = {{1.0, 2.5}, {1.5, 2.0}}}};
  part.systems[1].matches = MatchResidual{.system = "loop3", .by = "flops", .seconds = 0.1};
  const auto inside = testing::typed(testing::benchmark_part()).find("mem-g3")->inside;
  ASSERT_TRUE(inside && inside->local_gate && !inside->token_view.empty());
  part.systems[1].inside = inside;
  complete_comparisons(part);  // documents of this test are not those of its scores
  const auto text = to_json(result).dump(1);
  const auto again = study_result_from_json(nlohmann::ordered_json::parse(text));
  EXPECT_EQ(to_json(again).dump(1), text);
  // What stands in no key of its own is as it was, too.
  const ComparedPair pair{"mem-g3", "isopar-m", "facts_bpb"};
  const auto& before = part.comparisons.at(pair);
  const auto& after = again.parts[0].comparisons.at(pair);
  EXPECT_EQ(after.verdict, before.verdict);
  EXPECT_EQ(after.decisive.low, before.decisive.low);
  EXPECT_EQ(after.here, before.here);
}

TEST(StudyResult, ResultsOfEarlierProgramsOpen) {
  const auto file = fs::path(LOOPBANK_SOURCE_DIR) / "tests/study/data/results_0.json";
  const auto json = nlohmann::ordered_json::parse(read_file(file));
  const auto result = study_result_from_json(json, file.string());
  ASSERT_EQ(result.parts.size(), 1U);
  const auto& part = result.parts[0];
  ASSERT_EQ(part.systems.size(), 3U);
  EXPECT_EQ(part.systems[2].label, "Mem (g0=3)");
  EXPECT_EQ(part.systems[2].inside->token_view.size(), 3U);
  EXPECT_EQ(part.systems[1].curves.at(0).step, (std::vector<int64_t>{20, 40}));
  EXPECT_FALSE(part.claims.empty());
  for (const auto& claim : part.claims) {  // none of a pair that has no comparison
    const auto& comparison = part.comparison_of(claim);
    EXPECT_NEAR(claim.ours, comparison.relative(), 1e-12) << claim.text;
  }
  // Every key that they held is there, with its value; more may be.
  const auto again = to_json(result);
  const auto& before = json["parts"][0]["systems"][1]["against"];
  const auto& after = again["parts"][0]["systems"][1]["against"];
  for (const auto& [other, columns] : before.items()) {
    for (const auto& [column, comparison] : columns.items()) {
      for (const auto& [key, value] : comparison.items()) {
        if (key != "seeds") {
          EXPECT_EQ(after[other][column][key], value) << other << column << key;
        }
      }
    }
  }
  EXPECT_EQ(to_json(study_result_from_json(again)).dump(), again.dump());
}

TEST(StudyResult, ValuesOfAnotherTypeAreNamed) {
  auto json = testing::full_results();
  json["parts"][0]["systems"][2]["scores"]["facts_bpb"]["mean"] = "low";
  expect_contains(error_of(ErrorCode::kData, [&] { (void)study_result_from_json(json, "r.json"); }),
                  "r.json.parts.0.systems.2.scores.facts_bpb: expected the results of a study, got "
                  "string as \"mean\".");
  json["parts"][0]["systems"][2] = 7;
  expect_contains(error_of(ErrorCode::kData, [&] { (void)study_result_from_json(json, "r.json"); }),
                  "r.json.parts.0.systems.2: expected the results of a study, got number.");
}

TEST(CompareSystems, ThePapersOwnScoresAgreeEverywhere) {
  const TestDirectory directory;
  const auto part = as_in_the_paper(directory.path()).part;
  ASSERT_EQ(part.claims.size(), 11U);
  for (const auto& claim : part.claims) {
    EXPECT_EQ(claim_verdict(part.comparison_of(claim).verdict), "as in the paper") << claim.text;
    ASSERT_TRUE(claim.paper.has_value()) << claim.text;
    EXPECT_NEAR(claim.ours, *claim.paper, 0.02) << claim.text;
  }
  EXPECT_NEAR(part.claims[0].paper.value_or(0.0), -0.22,
              0.001);  // Loop-3 against IsoPar, as the paper puts it
}

TEST(CompareSystems, WhatDoesNotComeOutOrIsNotToldApartIsSaid) {
  const TestDirectory directory;
  auto measured = as_in_the_paper(directory.path());
  // Loop-3 as bad as IsoPar where seeds disagree, and Loop-7 clearly worse.
  for (int seed = 0; seed < 3; ++seed) {
    const double off = seed == 1 ? 0.3 : -0.1;
    std::vector<testing::DocumentScore> near;
    std::vector<testing::DocumentScore> worse;
    for (int i = 0; i < 4; ++i) {
      near.push_back({std::to_string(i), 0.5, 2.163 + off});
      worse.push_back({std::to_string(i), 0.5, 2.9});
    }
    testing::write_scores(measured.runs[1].score_folders[static_cast<size_t>(seed)], near,
                          {"reasoning", "facts"});
    testing::write_scores(measured.runs[3].score_folders[static_cast<size_t>(seed)], worse,
                          {"reasoning", "facts"});
  }
  measured.compare();
  const auto said = [&](size_t i) {
    return claim_verdict(measured.part.comparison_of(measured.part.claims[i]).verdict);
  };
  EXPECT_EQ(said(0), "not told apart");
  EXPECT_EQ(said(1), "against the paper");
  const auto text = format_claims(measured.part);
  EXPECT_EQ(count_of(text, "RQ1 against the paper"), 1U) << text;
  EXPECT_EQ(count_of(text, "RQ1 not told apart"), 2U) << text;  // IsoFLOP's scores are near, too
}

TEST(CompareSystems, FindingsOfSystemsThatDidNotRunAreLeftOut) {
  const TestDirectory directory;
  auto measured = as_in_the_paper(directory.path());
  measured.runs.resize(2);
  measured.compare();
  ASSERT_EQ(measured.part.claims.size(), 1U);
  EXPECT_EQ(measured.part.claims[0].better, "loop3");
  measured.runs.resize(1);
  measured.compare();
  expect_contains(format_claims(measured.part), "None of the paper's findings");
}

TEST(CompareSystems, TasksOfTheLiteratureHaveItsFindings) {
  const TestDirectory directory;
  auto measured = as_in_the_paper(directory.path());
  for (auto& column : measured.part.columns) {
    column.paper_key.clear();
  }
  measured.compare();
  ASSERT_EQ(measured.part.claims.size(), 2U);
  const auto& claim = measured.part.claims[1];
  EXPECT_EQ(claim.better + " " + claim.worse + " " + claim.column,
            "loop7 isopar reasoning_accuracy");
  EXPECT_FALSE(claim.paper);
  EXPECT_EQ(claim.source, "Saunshi et al. 2025");
  expect_contains(format_claims(measured.part), "(Saunshi et al. 2025)\n");
  measured.part.init = "runs/isopar";  // systems that start from a model are not the literature's
  measured.compare();
  EXPECT_TRUE(measured.part.claims.empty());
}

TEST(CompareSystems, OneSeedIsNoFinding) {
  const TestDirectory directory;
  const auto part = as_in_the_paper(directory.path(), 1).part;
  ASSERT_EQ(part.claims.size(), 11U);
  for (const auto& claim : part.claims) {
    EXPECT_EQ(claim_verdict(part.comparison_of(claim).verdict), "not told apart") << claim.text;
  }
  const auto text = format_claims(part);
  EXPECT_EQ(count_of(text, "not told apart (1 seed; how many it takes is not known"), 11U) << text;
  EXPECT_EQ(count_of(text, "as in the paper"), 0U) << text;
}

TEST(FormatTable, EveryRowIsAsWideAsTheHeading) {
  const TestDirectory directory;
  const auto text = format_table(as_in_the_paper(directory.path()).part);
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
  const auto text = format_table(as_in_the_paper(directory.path()).part);
  const auto row = text.substr(text.find("Loop-3"), text.find("Loop-5") - text.find("Loop-3"));
  for (const char* part : {"0.823+-.010", "1.687", "0.501", "1.5 M", "15.4 k", "1.25"}) {
    EXPECT_NE(row.find(part), std::string::npos) << part << " in " << row;
  }
  expect_contains(text, "standard deviation over seeds (0, 1, 2)");
  expect_contains(format_table(as_in_the_paper(directory.path(), 1).part), "0.813+-.040");
}

TEST(FormatTable, WordsAroundItSayWhatThereIs) {
  const TestDirectory directory;
  auto part = as_in_the_paper(directory.path()).part;
  expect_contains(format_table(part), "paper's own, on other data:");
  part.systems[2].seeds = {0};
  for (auto& column : part.columns) {
    column.paper_key.clear();
  }
  expect_contains(format_table(part), "; of Loop-5, which has one seed, a standard error over");
  EXPECT_EQ(format_table(part).find("paper's own"), std::string::npos);
}

TEST(FormatTable, ResidualsOfTheSolverAreShown) {
  const TestDirectory directory;
  const auto part = as_in_the_paper(directory.path()).part;
  const auto& match = *part.find("isopar-m")->matches;
  expect_contains(format_table(part),
                  fmt::format("IsoPar-M matches Mem (g0=0) by parameters: {:+.1f} % parameters",
                              100 * match.parameters));
}

}  // namespace
}  // namespace loopbank
