#include "loopbank/eval/result_files.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using Json = nlohmann::json;
using testing::content_of;
using testing::expect_contains;
using testing::TestDirectory;

/// Two instances of two choices each, scored by hand.
EvalReport small_report() {
  ContinuationScore likely{.log_probability = -2.0 * std::log(2.0),
                           .unconditioned = -1.0,
                           .tokens = 2,
                           .characters = 3,
                           .bytes = 4,
                           .greedy = true,
                           .loops = 3.0,
                           .context_cut = false,
                           .windows = 1};
  auto unlikely = likely;
  unlikely.log_probability = -9.0;
  unlikely.context_cut = true;
  TaskResult result;
  result.task = "arc_challenge";
  result.metric = Metric::kAccUncond;
  result.value = {.mean = 0.5, .standard_error = 0.5};
  result.bpb = {.mean = 0.25, .standard_error = 0.125};
  result.metrics = {{Metric::kAccUncond, result.value}, {Metric::kBitsPerByte, result.bpb}};
  result.max_loops = 3;
  result.mean_loops = 1.5;
  result.contexts_cut = 2;
  result.instances = {{.id = "q1", .label = 0, .choices = {likely, unlikely}},
                      {.id = "q2", .label = 1, .choices = {likely, unlikely}}};
  EvalReport report;
  report.results = {result};
  report.suites = {{.suite = "commonsense",
                    .metric = Metric::kAccRaw,
                    .value = 0.5,
                    .bpb = 0.25,
                    .max_loops = 3,
                    .mean_loops = 1.5}};
  return report;
}

TEST(ResultFiles, ResultsHoldTheKeysThatScriptsRead) {
  const auto json = to_json(small_report());
  const auto& row = json.at("results").at(0);
  EXPECT_EQ(row.at("task"), "arc_challenge");
  EXPECT_EQ(row.at("metric"), "acc_uncond");
  EXPECT_EQ(row.at("value"), 0.5);
  EXPECT_EQ(row.at("stderr"), 0.5);
  EXPECT_EQ(row.at("instances"), 2);
  EXPECT_EQ(row.at("bpb"), 0.25);
  EXPECT_EQ(row.at("max_loops"), 3);
  EXPECT_EQ(row.at("mean_loops"), 1.5);
  EXPECT_EQ(row.at("contexts_cut"), 2);
  EXPECT_EQ(row.at("metrics").at("bits_per_byte_corr"), 0.25);
  EXPECT_EQ(json.at("suites").at(0).at("suite"), "commonsense");
}

TEST(ResultFiles, EveryInstanceHasItsRow) {
  const TestDirectory directory;
  write_results(small_report(), directory.path() / "out");
  const auto folder = directory.path() / "out";
  const auto metrics = Json::parse(content_of(folder / "metrics.json"));
  const std::string name = metrics.at("results").at(0).at("predictions");
  EXPECT_EQ(name, "task-000-arc_challenge-predictions.jsonl");
  std::istringstream lines(content_of(folder / name));
  std::vector<Json> rows;
  for (std::string line; std::getline(lines, line);) {
    rows.push_back(Json::parse(line));
  }
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[1].at("native_id"), "q2");
  EXPECT_EQ(rows[1].at("label"), 1);
  EXPECT_EQ(rows[1].at("prediction"), 0);
  EXPECT_EQ(rows[1].at("metrics").at("acc_uncond"), 0.0);
  EXPECT_EQ(rows[0].at("metrics").at("acc_uncond"), 1.0);
  EXPECT_NEAR(rows[0].at("metrics").at("bits_per_byte_corr").get<double>(), 0.5, 1e-12);
  const auto& choice = rows[0].at("model_output").at(1);
  EXPECT_EQ(choice.at("sum_logits"), -9.0);
  EXPECT_EQ(choice.at("sum_logits_uncond"), -1.0);
  EXPECT_EQ(choice.at("num_tokens"), 2);
  EXPECT_EQ(choice.at("context_cut"), true);
  // Nothing half-written stays behind.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 2);
}

TEST(ResultFiles, TheTableShowsTheFiguresAndWhatWasCut) {
  const auto text = describe(small_report());
  expect_contains(text, "arc_challenge");
  expect_contains(text, "0.5000");
  expect_contains(text, "commonsense (mean)");
  expect_contains(text, "2 contexts did not fit the model and were cut from the left");
}

}  // namespace
}  // namespace loopbank
