#include "loopbank/eval/task.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using Json = nlohmann::json;
using testing::error_of;
using testing::expect_contains;

Instance instance_of(const std::string& task, const Json& row, const std::string& prefix = "") {
  const auto form = task_form(task).prompt;
  return make_instance(form, read_document(form, row, "rows.jsonl:3"), prefix);
}

std::string instance_refusal(const std::string& task, const Json& row) {
  return error_of(ErrorCode::kData, [&] { (void)instance_of(task, row); });
}

const Json kQuestion = {
    {"id", "q1"}, {"question", "What is wet?"}, {"choices", {"sand", "rain"}}, {"label", 1}};

TEST(Prompts, QuestionTasksEndInAnswer) {
  for (const char* task : {"arc_easy", "arc_challenge", "csqa", "openbookqa"}) {
    const auto instance = instance_of(task, kQuestion);
    ASSERT_EQ(instance.choices.size(), 2U) << task;
    EXPECT_EQ(instance.choices[0].context, "Question: What is wet?\nAnswer:");
    EXPECT_EQ(instance.choices[1].context, "Question: What is wet?\nAnswer:");
    EXPECT_EQ(instance.choices[0].continuation, " sand");
    EXPECT_EQ(instance.choices[1].continuation, " rain");
    EXPECT_EQ(instance.label, 1);
    EXPECT_EQ(instance.id, "q1");
  }
}

TEST(Prompts, GoalAndSituation) {
  EXPECT_EQ(instance_of("piqa", kQuestion).choices[0].context, "Goal: What is wet?\nAnswer:");
  auto row = kQuestion;
  row["context"] = "It rained.";
  EXPECT_EQ(instance_of("socialiqa", row).choices[0].context,
            "Question: It rained. What is wet?\nAnswer:");
}

TEST(Prompts, VerbatimKeepsTheSpacesOfAChoice) {
  const Json row = {{"context", "Tango: They"}, {"choices", {" dance.", "sit."}}, {"label", 0}};
  for (const char* task : {"hellaswag", "lambada", "facts"}) {
    const auto instance = instance_of(task, row);
    EXPECT_EQ(instance.choices[0].context, "Tango: They");
    EXPECT_EQ(instance.choices[0].continuation, "  dance.");
    EXPECT_EQ(instance.choices[1].continuation, " sit.");
  }
}

TEST(Prompts, FillInHasTwoContextsAndOneContinuation) {
  const Json row = {
      {"question", "So _  always won. "}, {"choices", {"Sarah", "Maria"}}, {"label", 1}};
  const auto instance = instance_of("winogrande", row, "A shot.\n\n");
  EXPECT_EQ(instance.choices[0].context, "A shot.\n\nSo Sarah");
  EXPECT_EQ(instance.choices[1].context, "A shot.\n\nSo Maria");
  EXPECT_EQ(instance.choices[0].continuation, " always won.");
  EXPECT_EQ(instance.choices[1].continuation, " always won.");
}

TEST(Prompts, ProblemScoresItsSolution) {
  const Json row = {{"id", 7}, {"problem", "1+1?"}, {"solution", "It is $\\boxed{2}$."}};
  const auto instance = instance_of("minerva_math_algebra", row, "P\n\n");
  ASSERT_EQ(instance.choices.size(), 1U);
  EXPECT_EQ(instance.choices[0].context, "P\n\nProblem:\n1+1?\n\nSolution:");
  EXPECT_EQ(instance.choices[0].continuation, " It is $\\boxed{2}$.");
  EXPECT_EQ(instance.id, "7");
}

TEST(Prompts, BrokenRowsAreRefusedByPlace) {
  auto row = kQuestion;
  row["label"] = 2;
  EXPECT_EQ(instance_refusal("arc_easy", row),
            "rows.jsonl:3: expected a label from 0 to 1, got 2. Labels count the choices from 0.");
  row["label"] = "B";
  expect_contains(instance_refusal("arc_easy", row), "expected a label from 0 to 1, got \"B\"");
  row["label"] = -1;
  expect_contains(instance_refusal("arc_easy", row), "got -1");
  row["choices"] = {"a", 3};
  expect_contains(instance_refusal("arc_easy", row), "expected a text in \"choices\", got 3");
  row["choices"] = Json::array();
  expect_contains(instance_refusal("arc_easy", row), "expected a list of at least one text");
  row.erase("question");
  expect_contains(instance_refusal("arc_easy", row),
                  "rows.jsonl:3: expected the key \"question\", got none");
  expect_contains(instance_refusal("facts", kQuestion), "expected the key \"context\", got none");
  expect_contains(instance_refusal("winogrande", kQuestion), "expected a \"_\" in \"question\"");
  expect_contains(instance_refusal("minerva_math_algebra", kQuestion),
                  "expected the key \"problem\"");
  expect_contains(instance_refusal("arc_easy", Json::array({1})),
                  "expected a JSON object, got array");
}

TEST(KnownTasks, HeadlineMetricsAreThoseOfOlmes) {
  EXPECT_EQ(task_form("arc_easy").metric, Metric::kAccPerChar);
  EXPECT_EQ(task_form("arc_challenge").metric, Metric::kAccUncond);
  EXPECT_EQ(task_form("hellaswag").metric, Metric::kAccPerChar);
  EXPECT_EQ(task_form("piqa").metric, Metric::kAccPerChar);
  EXPECT_EQ(task_form("winogrande").metric, Metric::kAccRaw);
  EXPECT_EQ(task_form("socialiqa").metric, Metric::kAccPerChar);
  EXPECT_EQ(task_form("csqa").metric, Metric::kAccUncond);
  EXPECT_EQ(task_form("openbookqa").metric, Metric::kAccUncond);
  EXPECT_EQ(task_form("minerva_math_geometry").metric, Metric::kBitsPerByte);
  EXPECT_EQ(task_form("gsm8k").metric, Metric::kBitsPerByte);
  EXPECT_EQ(task_form("lambada").metric, Metric::kAccGreedy);
}

TEST(KnownTasks, SuitesHoldSixAndSeven) {
  ASSERT_GE(suites().size(), 2U);
  EXPECT_EQ(suites()[0].name, "commonsense");
  EXPECT_EQ(suites()[0].tasks.size(), 6U);
  EXPECT_EQ(suites()[1].name, "math");
  EXPECT_EQ(suites()[1].tasks.size(), 7U);
}

}  // namespace
}  // namespace loopbank
