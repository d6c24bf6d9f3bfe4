#include "loopbank/study/system_thinking.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "loopbank/support/statistics.h"
#include "small_study.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::json_of_file;
using testing::small_study;
using testing::TestDirectory;

const std::vector<std::string> kSmallHops = {
    "synthetic.task=p-hop",           "synthetic.difficulty=1-2", "synthetic.beyond=3-4",
    "synthetic.instances=16",         "synthetic.length=12",      "synthetic.training_bytes=20000",
    "synthetic.validation_bytes=4000"};

LoopsAgainstSteps thinking_with(const std::string& task, double rho, int64_t tokens) {
  const RankCorrelation correlation{
      .rho = rho, .low = rho - 0.1, .high = rho + 0.1, .has_interval = true};
  const RankCorrelation half{
      .rho = rho / 2, .low = rho / 2 - 0.1, .high = rho / 2 + 0.1, .has_interval = true};
  return {.task = task,
          .questions = tokens,
          .tokens = tokens,
          .by_steps = {{.steps = 1, .tokens = tokens, .loops = 1.2, .loops_by_layer = {1.0, 1.4}},
                       {.steps = 3, .tokens = 4, .loops = 2.0, .loops_by_layer = {1.0, 3.0}}},
          .correlation = correlation,
          .given_place = half,
          .given_loss = {},
          .by_layer = {{}, correlation}};
}

TEST(SummarizeThinking, SeedsArePooledByStepsAndComparedByZ) {
  auto a = thinking_with("p-hop", 0.2, 10);
  auto b = thinking_with("p-hop", 0.6, 30);
  b.by_steps[0].loops_by_layer = {1.0, 1.8};
  b.by_steps.pop_back();
  const auto all = summarize_thinking({{.seed = 1, .tasks = {a}}, {.seed = 2, .tasks = {b}}});
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].seeds, 2);
  EXPECT_EQ(all[0].tokens, 40);
  EXPECT_EQ(all[0].questions, 40);
  const std::vector<double> z = {std::atanh(0.2), std::atanh(0.6)};
  EXPECT_NEAR(all[0].correlation.rho, std::tanh(mean_of(z)), 1e-12);
  EXPECT_NEAR(all[0].correlation.low, std::tanh(student_difference(z)->low), 1e-12);
  EXPECT_NEAR(all[0].given_place.rho, std::tanh((std::atanh(0.1) + std::atanh(0.3)) / 2), 1e-12);
  EXPECT_FALSE(all[0].given_loss.has_interval);
  EXPECT_FALSE(all[0].by_layer[0].has_interval);
  EXPECT_NEAR(all[0].by_layer[1].rho, all[0].correlation.rho, 1e-12);
  ASSERT_EQ(all[0].by_steps.size(), 2U);
  EXPECT_EQ(all[0].by_steps[0].tokens, 40);
  EXPECT_NEAR(all[0].by_steps[0].loops_by_layer[1], (10 * 1.4 + 30 * 1.8) / 40, 1e-12);
  EXPECT_NEAR(all[0].by_steps[0].loops, (1.0 + 1.7) / 2, 1e-12);
  EXPECT_EQ(all[0].by_steps[1].tokens, 4);
}

TEST(SummarizeThinking, OneSeedKeepsItsIntervalsOverQuestions) {
  const auto all = summarize_thinking(
      {{.seed = 1,
        .tasks = {thinking_with("p-hop", 0.3, 10), thinking_with("p-hop-beyond", 0.1, 10)}}});
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].seeds, 1);
  EXPECT_EQ(all[0].correlation.low, 0.3 - 0.1);
  EXPECT_EQ(all[1].task, "p-hop-beyond");
}

TEST(SummarizeThinking, TasksThatNotEverySeedHasAreLeftOut) {
  EXPECT_TRUE(summarize_thinking({}).empty());
  EXPECT_TRUE(summarize_thinking({{.seed = 1, .tasks = {thinking_with("p-hop", 0.3, 10)}},
                                  {.seed = 2, .tasks = {}}})
                  .empty());
}

TEST(SummarizeThinking, SeedsOfOtherLayersAreRefused) {
  auto other = thinking_with("p-hop", 0.3, 10);
  other.by_layer.pop_back();
  expect_contains(
      error_of(ErrorCode::kData,
               [&] {
                 (void)summarize_thinking({{.seed = 1, .tasks = {thinking_with("p-hop", 0.3, 10)}},
                                           {.seed = 2, .tasks = {other}}});
               }),
      "expected seeds of one system with as many layers each, got 2 and 1 of p-hop.");
}

TEST(DescribeThinking, SaysWhichWayLoopsGoAndHowSureThatIs) {
  auto thinking = thinking_with("p-hop", 0.41, 256);
  EXPECT_EQ(
      describe(thinking),
      "Loops rise with the steps behind a token of p-hop: rho +0.41 [+0.31, +0.51] over 256 "
      "questions of one seed; layer 2 most (+0.41). Tokens with 1 step take 1.20 loops, with 3 "
      "steps 2.00. With the token's place held rho is +0.20 [+0.10, +0.30], with its loss "
      "held +0.00.");
  thinking.seeds = 8;
  expect_contains(describe(thinking), "rho +0.41 [+0.31, +0.51] over 8 seeds;");
  expect_contains(describe(thinking_with("p-hop", -0.3, 9)), "Loops fall with the steps");
  expect_contains(describe(thinking_with("p-hop", 0.05, 9)),
                  "Loops neither clearly rise nor fall with the steps");
}

TEST(DescribeThinking, SaysWhereNothingCanBeTold) {
  auto thinking = thinking_with("p-hop", 0.0, 9);
  thinking.correlation = {};
  EXPECT_EQ(describe(thinking),
            "All answer tokens of p-hop take 1.20 loops, whatever lies behind them.");
  thinking.by_steps.pop_back();
  EXPECT_EQ(describe(thinking),
            "All answer tokens of p-hop have 1 step behind them and take 1.20 loops.");
  EXPECT_EQ(describe(std::vector<LoopsAgainstSteps>{}), "");
}

/// A study of p-hop has it measured once a run, of models with loops alone.
TEST(StudyOfHops, LoopsAgainstStepsAreInTheResults) {
  const TestDirectory directory;
  const auto options = small_study(directory.path(), {"isopar", "loop3"}, kSmallHops);
  const auto outcome = run_study(options);
  const auto& part = outcome.result.parts.at(0);
  EXPECT_TRUE(part.find("isopar")->thinking.empty());
  const auto& thinking = part.find("loop3")->thinking;
  ASSERT_EQ(thinking.size(), 2U);
  EXPECT_EQ(thinking[0].task, "p-hop");
  EXPECT_EQ(thinking[0].questions, 16);
  EXPECT_EQ(thinking[0].tokens, 16) << "the answer is one symbol";
  ASSERT_EQ(thinking[0].by_steps.size(), 2U);
  EXPECT_EQ(thinking[0].by_steps[1].steps, 2);
  EXPECT_EQ(thinking[0].by_steps[1].tokens, 8);
  EXPECT_EQ(thinking[0].by_layer.size(), 1U);
  EXPECT_EQ(thinking[1].task, "p-hop-beyond");
  EXPECT_EQ(thinking[1].by_steps[0].steps, 3);

  const auto systems = directory.path() / part.name / "seed-3/systems";
  EXPECT_FALSE(std::filesystem::exists(systems / "isopar/thinking.json"));
  const auto json = json_of_file(directory.path() / "results.json");
  EXPECT_EQ(json["parts"][0]["thinking"]["loop3"][0]["by_steps"],
            json_of_file(systems / "loop3/thinking.json")["tasks"][0]["by_steps"]);
  EXPECT_FALSE(json["parts"][0]["thinking"].contains("isopar"));

  // Runs of an earlier program get it when the study goes on; what is there is kept.
  std::filesystem::remove(systems / "loop3/thinking.json");
  const auto again = run_study(options);
  EXPECT_EQ(again.result.parts.at(0).find("loop3")->thinking.at(0).correlation.rho,
            thinking[0].correlation.rho);
  write_file_atomically(systems / "loop3/thinking.json", "{}");
  expect_contains(error_of(ErrorCode::kData, [&] { (void)run_study(options); }),
                  "expected loops of a run against the steps behind its answers, got no \"seed\". "
                  "Remove the file to measure it anew.");
}

/// Of tasks whose steps are not known nothing is measured, and no file is written.
TEST(EnsureThinking, TasksWithoutStepsNeedNoModel) {
  const TestDirectory directory;
  RunConfig run;
  run.model.max_loops = 3;
  const Task task{
      .name = "t", .bare_context = {}, .instances = {Instance{.id = "1", .choices = {}}}};
  ensure_thinking(run, {task}, directory.path());  // where there is no model
  EXPECT_FALSE(read_thinking(directory.path()));
}

}  // namespace
}  // namespace loopbank
