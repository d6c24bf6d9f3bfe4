#include "loopbank/study/comparison.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <nlohmann/json.hpp>

#include "../support/test_directory.h"
#include "loopbank/study/answers.h"
#include "loopbank/study/page_data.h"
#include "loopbank/study/table.h"
#include "report_sample.h"
#include "stored_scores.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;
using testing::write_scores;
using Json = nlohmann::ordered_json;

Column facts_column(bool is_bpb) {
  Column column;
  column.key = "facts";
  column.measure = is_bpb ? Measure::kBpb : Measure::kAccuracy;
  column.tasks = {"facts"};
  return column;
}

TEST(CompareRuns, ScoresOfTheSameDocumentsArePairedWhateverTheirOrder) {
  const TestDirectory directory;
  // b is better by 0.1 on every document, of which each is as different from the others as can be.
  write_scores(directory.path() / "a", {{"x", 1.0, 0.5}, {"y", 0.0, 5.0}, {"z", 1.0, 9.0}});
  write_scores(directory.path() / "b", {{"z", 1.0, 8.9}, {"x", 1.0, 0.4}, {"y", 1.0, 4.9}});
  ScoreFolders folders;
  const auto bpb =
      compare_runs({directory.path() / "b"}, {directory.path() / "a"}, facts_column(true), folders);
  EXPECT_NEAR(bpb.questions.difference, -0.1, 1e-9);
  EXPECT_NEAR(bpb.questions.low, -0.1, 1e-9);
  EXPECT_NEAR(bpb.questions.high, -0.1, 1e-9);
  EXPECT_NEAR(bpb.there, 14.5 / 3, 1e-9);
  EXPECT_FALSE(bpb.seeds);
  EXPECT_EQ(bpb.decisive.low, bpb.questions.low);
  EXPECT_EQ(bpb.verdict, Verdict::kBetter);
  const auto accuracy = compare_runs({directory.path() / "b"}, {directory.path() / "a"},
                                     facts_column(false), folders);
  EXPECT_NEAR(accuracy.questions.difference, 1.0 / 3, 1e-9);
}

TEST(CompareRuns, SeedsThatDisagreeAreTooNearToTell) {
  const TestDirectory directory;
  // Each seed is sure of itself, and they say opposite things.
  write_scores(directory.path() / "a1", {{"x", 0, 1.0}, {"y", 0, 1.0}});
  write_scores(directory.path() / "b1", {{"x", 0, 0.5}, {"y", 0, 0.5}});
  write_scores(directory.path() / "a2", {{"x", 0, 1.0}, {"y", 0, 1.0}});
  write_scores(directory.path() / "b2", {{"x", 0, 1.3}, {"y", 0, 1.3}});
  ScoreFolders folders;
  const auto compared =
      compare_runs({directory.path() / "b1", directory.path() / "b2"},
                   {directory.path() / "a1", directory.path() / "a2"}, facts_column(true), folders);
  EXPECT_EQ(compared.num_seeds, 2);
  EXPECT_NEAR(compared.questions.difference, -0.1, 1e-9);
  EXPECT_TRUE(compared.questions.excludes_zero());
  ASSERT_TRUE(compared.seeds);
  EXPECT_FALSE(compared.seeds->excludes_zero());
  EXPECT_FALSE(compared.decisive.excludes_zero());
  EXPECT_EQ(compared.verdict, Verdict::kOpen);
}

TEST(CompareRuns, SeedsThatAgreeByAccidentAreTooNearToTell) {
  const TestDirectory directory;
  // In both seeds one question more of eight: no spread over the seeds, and no difference either.
  std::vector<std::filesystem::path> there;
  std::vector<std::filesystem::path> here;
  for (const char* seed : {"1", "2"}) {
    std::vector<testing::DocumentScore> a;
    for (int i = 0; i < 8; ++i) {
      a.push_back({std::to_string(i), i % 2 == 0 ? 1.0 : 0.0, 1.0});
    }
    auto b = a;
    b[1].accuracy = 1.0;
    there.push_back(directory.path() / "a" / seed);
    here.push_back(directory.path() / "b" / seed);
    write_scores(there.back(), a);
    write_scores(here.back(), b);
  }
  ScoreFolders folders;
  const auto compared = compare_runs(here, there, facts_column(false), folders);
  ASSERT_TRUE(compared.seeds);
  EXPECT_EQ(compared.seeds->low, 0.125);
  EXPECT_EQ(compared.seeds->high, 0.125);
  EXPECT_FALSE(compared.questions.excludes_zero());
  EXPECT_FALSE(compared.over_seeds);
  EXPECT_EQ(compared.verdict, Verdict::kOpen);
  EXPECT_EQ(compared.decisive.low, compared.questions.low);
}

TEST(CompareRuns, WhatIsMissingIsNamed) {
  const TestDirectory directory;
  write_scores(directory.path() / "a", {{"x", 1.0, 0.5}, {"y", 0.0, 5.0}});
  write_scores(directory.path() / "b", {{"x", 1.0, 0.5}});
  ScoreFolders folders;
  expect_contains(error_of(ErrorCode::kData,
                           [&] {
                             (void)compare_runs({directory.path() / "b"}, {directory.path() / "a"},
                                                facts_column(true), folders);
                           }),
                  "expected the document y");
  auto other = facts_column(true);
  other.tasks = {"sums"};
  expect_contains(error_of(ErrorCode::kData,
                           [&] {
                             (void)compare_runs({directory.path() / "b"}, {directory.path() / "a"},
                                                other, folders);
                           }),
                  "expected scores of sums");
}

/// What is said of one seed's interval.
Verdict verdict_on(const Difference& difference, bool lower_is_better) {
  SystemComparison comparison{.questions = difference};
  judge(comparison, lower_is_better);
  return comparison.verdict;
}

TEST(Judge, TheIntervalLeavesOutZeroOrItIsTooNear) {
  const Difference falls{.difference = -0.2, .low = -0.3, .high = -0.1};
  const Difference rises{.difference = 0.2, .low = 0.1, .high = 0.3};
  EXPECT_EQ(verdict_on(falls, /*lower_is_better=*/true), Verdict::kBetter);
  EXPECT_EQ(verdict_on(falls, /*lower_is_better=*/false), Verdict::kWorse);
  EXPECT_EQ(verdict_on(rises, /*lower_is_better=*/true), Verdict::kWorse);
  EXPECT_EQ(verdict_on(rises, /*lower_is_better=*/false), Verdict::kBetter);
  EXPECT_EQ(verdict_on({.difference = -0.2, .low = -0.4, .high = 0.0}, true), Verdict::kOpen);
}

/// Three looped systems against IsoPar in reasoning BPB, with these two intervals.
Json with_intervals(std::array<double, 2> questions, std::array<double, 2> seeds) {
  auto part = testing::benchmark_part();
  for (auto& system : part["systems"]) {
    if (system["family"] == "loops" && system["group"] == "paper") {
      system["against"]["isopar"]["reasoning_bpb"] = {
          {"difference", (questions[0] + questions[1]) / 2},
          {"low", questions[0]},
          {"high", questions[1]},
          {"p", 0.03},
          {"seeds",
           {{"difference", (seeds[0] + seeds[1]) / 2}, {"low", seeds[0]}, {"high", seeds[1]}}}};
    }
  }
  return part;
}

/// What every place of the page and the table in the terminal say of loops against IsoPar.
void expect_everywhere(const Json& json, Verdict verdict, const std::string& headline,
                       const std::string& mark) {
  const auto part = testing::typed(json);
  const auto& claim = part.claims.at(0);
  ASSERT_EQ(claim.better + claim.worse + claim.column, "loop3isoparreasoning_bpb");
  EXPECT_EQ(part.comparison_of(claim).verdict, verdict);
  EXPECT_EQ(answer_questions(part)[0].headline, headline);
  const auto claims = format_claims(part);
  EXPECT_NE(claims.find(fmt::format("{:<19} {}", claim_verdict(verdict), claim.text)),
            std::string::npos)
      << claims;
  const auto table = table_data(shown_part(part));
  for (const auto& one : table["comparisons"]) {
    if (one["system"] == "Loop-3" && one["against"] == "IsoPar" &&
        one["column"] == "reasoning BPB") {
      EXPECT_EQ(one["verdict"], mark);
      return;
    }
  }
  FAIL() << "no mark";
}

TEST(Verdict, IsTheSameInClaimsAnswersMarksAndTable) {
  // Clear over the questions of all seeds, and the seeds disagree.
  expect_everywhere(with_intervals({-0.5, -0.4}, {-1.2, 0.3}), Verdict::kOpen, "Too near to tell",
                    "too near to tell");
  // The seeds agree by accident: their questions do not tell.
  expect_everywhere(with_intervals({-0.5, 0.1}, {-0.3, -0.1}), Verdict::kOpen, "Too near to tell",
                    "too near to tell");
  expect_everywhere(with_intervals({-0.5, -0.4}, {-0.6, -0.3}), Verdict::kBetter, "Yes", "better");
}

TEST(CompleteComparisons, AClaimWithoutItsComparisonGoes) {
  auto json = testing::benchmark_part();
  EXPECT_EQ(testing::typed(json).claims.size(), 5U);
  json["systems"].erase(0);  // IsoPar, of the first claim
  const auto part = testing::typed(json);
  ASSERT_EQ(part.claims.size(), 4U);
  EXPECT_EQ(part.claims[0].worse, "isoflop");
}

TEST(CompleteComparisons, WithoutAnyMeasureOfDoubtThereIsNone) {
  auto json = testing::benchmark_part();
  for (auto& system : json["systems"]) {
    if (system["name"] == "mem-g3") {
      system["against"].erase("loop3");
    }
  }
  const ComparedPair pair{"mem-g3", "loop3", "facts_bpb"};
  EXPECT_TRUE(testing::typed(json).comparisons.at(pair).estimated);
  for (auto& system : json["systems"]) {
    if (system["name"] == "loop3") {
      system["scores"]["facts_bpb"].erase("standard_error");
    }
  }
  EXPECT_FALSE(testing::typed(json).comparisons.contains(pair));
  EXPECT_FALSE(testing::typed(json).comparisons.contains({"mem-g3", "nobody", "facts_bpb"}));
}

TEST(CompleteComparisons, ScoresAreThoseOfTheCommonSeeds) {
  auto json = testing::benchmark_part();
  auto& loop3 = json["systems"][1];
  loop3["seeds"] = {2, 3};
  loop3["scores"]["facts_bpb"]["by_seed"] = {0.5, 0.7};
  json["systems"][0]["scores"]["facts_bpb"]["by_seed"] = {9.0, 1.0, 2.0};
  const auto part = testing::typed(json);
  const auto& comparison = part.comparisons.at({"loop3", "isopar", "facts_bpb"});
  EXPECT_DOUBLE_EQ(comparison.here, 0.6);
  EXPECT_DOUBLE_EQ(comparison.there, 1.5);
  EXPECT_EQ(comparison.num_seeds, 2);
}

}  // namespace
}  // namespace loopbank
