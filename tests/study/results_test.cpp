#include "loopbank/study/results.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

/// Systems whose measured scores are the paper's own.
StudyResult as_in_the_paper() {
  StudyResult result{.scale = "demo", .seed = 7, .systems = {}};
  for (const auto& system : study_systems(Scale::kPaper)) {
    SystemResult row;
    row.name = system.name;
    row.label = system.label;
    row.paper = system.paper;
    row.facts_accuracy = system.paper.commonsense_accuracy;
    row.facts_bpb = system.paper.commonsense_bpb;
    row.reasoning_bpb = system.paper.math_bpb;
    row.facts_instances = 400;
    row.parameters = 1.5e6;
    row.mean_loops = 1.25;
    result.systems.push_back(row);
  }
  return result;
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

TEST(SystemResult, JsonReturnsWhatWasWritten) {
  auto row = as_in_the_paper().systems[5];
  row.steps = 12;
  row.seconds = 3.5;
  row.evaluation_seconds = 0.25;
  row.errors = {0.01, 0.02, 0.03, 0.04};
  row.residuals = {0.0075, -0.25};
  const auto json = to_json(row);
  const auto back = system_result_from_json(json, "here");
  EXPECT_EQ(to_json(back), json);
  EXPECT_EQ(back.residuals->forward_flops, -0.25);
}

TEST(SystemResult, JsonCarriesTheKeysThatScriptsRead) {
  const auto json = to_json(as_in_the_paper()).at("systems").at(0);
  for (const char* key :
       {"name", "parameters", "flops_per_token", "facts_accuracy", "facts_bpb", "reasoning_bpb",
        "mean_loops", "tokens_per_second", "paper", "steps", "seconds"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
}

TEST(SystemResult, ABrokenFileIsNamed) {
  try {
    (void)system_result_from_json({{"name", "isopar"}}, "runs/isopar/result.json");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kData);
    EXPECT_NE(std::string(error.what()).find("runs/isopar/result.json"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("label"), std::string::npos);
  }
}

TEST(FormatTable, EveryRowIsAsWideAsTheHeading) {
  const auto text = format_table(as_in_the_paper());
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);  // the heading above ends in a sentence
  size_t width = 0;
  for (int i = 0; i < 12; ++i) {
    std::getline(lines, line);
    width = width == 0 ? line.size() : width;
    EXPECT_EQ(line.size(), width) << line;
  }
}

TEST(FormatTable, MeasuredAndPaperScoresStandInOneRow) {
  auto result = as_in_the_paper();
  result.systems[1].reasoning_bpb = 1.234;
  const auto text = format_table(result);
  const auto row = text.substr(text.find("Loop-3"), text.find("Loop-5") - text.find("Loop-3"));
  EXPECT_NE(row.find("1.234"), std::string::npos) << row;
  EXPECT_NE(row.find("1.687"), std::string::npos) << row;
  EXPECT_NE(row.find("1.5 M"), std::string::npos) << row;
}

TEST(FormatTable, StandardErrorsAndSpeedStandInTheRow) {
  auto result = as_in_the_paper();
  result.systems[1].facts_accuracy = 0.412;
  result.systems[1].errors.facts_accuracy = 0.031;
  result.systems[1].errors.facts_bpb = 1.25;
  result.systems[1].tokens_per_second = 15'400;
  const auto text = format_table(result);
  const auto row = text.substr(text.find("Loop-3"), text.find("Loop-5") - text.find("Loop-3"));
  EXPECT_NE(row.find("0.412+-.031"), std::string::npos) << row;
  EXPECT_NE(row.find("0.813+-1.250"), std::string::npos) << row;
  EXPECT_NE(row.find("15.4 k"), std::string::npos) << row;
}

TEST(FormatTable, ResidualsOfTheSolverAreShown) {
  auto result = as_in_the_paper();
  result.systems[5].residuals = {0.0075, -0.65};
  EXPECT_NE(format_table(result).find("IsoPar-M: +0.8 % parameters, -65.0 % FLOPs"),
            std::string::npos);
}

TEST(CompareWithPaper, ThePapersOwnScoresAgreeEverywhere) {
  const auto text = compare_with_paper(as_in_the_paper());
  EXPECT_EQ(count_of(text, "NOT as in the paper"), 0U) << text;
  EXPECT_EQ(count_of(text, "the order differs"), 0U) << text;
  EXPECT_EQ(count_of(text, "as in the paper"), 6U) << text;
  EXPECT_NE(text.find("reasoning BPB  45 of 45"), std::string::npos) << text;
}

TEST(CompareWithPaper, AClaimThatDoesNotComeOutIsSaid) {
  auto result = as_in_the_paper();
  result.systems[1].reasoning_bpb = 2.5;  // Loop-3 worse than IsoPar and IsoFLOP
  const auto text = compare_with_paper(result);
  EXPECT_EQ(count_of(text, "NOT as in the paper"), 2U) << text;
  EXPECT_EQ(count_of(text, "the order differs"), 1U) << text;
}

TEST(CompareWithPaper, ScoresWithinTwoErrorsOfTheirDifferenceAreTooNearToTell) {
  auto result = as_in_the_paper();
  auto& isopar = result.systems[0];
  auto& loop3 = result.systems[1];
  // 2.163 against 1.687 is a difference of 0.476; sqrt(3^2 + 4^2) = 5.
  isopar.errors.reasoning_bpb = 0.3 * 0.476 / 2 / 0.5;
  loop3.errors.reasoning_bpb = 0.4 * 0.476 / 2 / 0.5 * 1.01;
  EXPECT_EQ(count_of(compare_with_paper(result), "too near to tell    Loops help reasoning"), 1U);
  loop3.errors.reasoning_bpb = 0.4 * 0.476 / 2 / 0.5 * 0.99;
  EXPECT_EQ(count_of(compare_with_paper(result), "as in the paper     Loops help reasoning"), 1U)
      << compare_with_paper(result);
}

TEST(CompareWithPaper, EqualScoresAreNoAgreement) {
  auto result = as_in_the_paper();
  for (auto& system : result.systems) {
    system.facts_bpb = 1.0;
  }
  EXPECT_NE(compare_with_paper(result).find("facts BPB      0 of 43"), std::string::npos)
      << compare_with_paper(result);
}

TEST(CompareWithPaper, ClaimsOfSystemsThatDidNotRunAreLeftOut) {
  auto result = as_in_the_paper();
  result.systems.resize(2);
  EXPECT_EQ(count_of(compare_with_paper(result), "as in the paper"), 1U);
  result.systems.resize(1);
  EXPECT_NE(compare_with_paper(result).find("no order"), std::string::npos);
}

}  // namespace
}  // namespace loopbank
