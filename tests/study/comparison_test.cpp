#include "loopbank/study/comparison.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "../support/test_directory.h"
#include "loopbank/study/answers.h"
#include "loopbank/study/certainty.h"
#include "loopbank/study/page_data.h"
#include "loopbank/study/power.h"
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
  EXPECT_NEAR(bpb.here, 14.2 / 3, 1e-9);
  EXPECT_FALSE(bpb.seeds);
  EXPECT_EQ(bpb.decisive.low, bpb.questions.low);
  const auto accuracy = compare_runs({directory.path() / "b"}, {directory.path() / "a"},
                                     facts_column(false), folders);
  EXPECT_NEAR(accuracy.questions.difference, 1.0 / 3, 1e-9);
}

TEST(CompareRuns, OneSeedIsNoFindingHoweverClearItsQuestions) {
  const TestDirectory directory;
  write_scores(directory.path() / "a", {{"x", 0, 1.0}, {"y", 0, 1.1}});
  write_scores(directory.path() / "b", {{"x", 0, 0.5}, {"y", 0, 0.6}});
  ScoreFolders folders;
  const auto compared =
      compare_runs({directory.path() / "b"}, {directory.path() / "a"}, facts_column(true), folders);
  EXPECT_TRUE(compared.questions.excludes_zero());
  EXPECT_EQ(compared.verdict, Verdict::kOpen);
  EXPECT_EQ(compared.adjusted_p, 1.0);
  expect_contains(how_sure(compared), "1 seed; how many it takes is not known: run three");
}

/// Folders of two seeds: b less than a by a different amount a question, and the same in both seeds.
std::vector<std::vector<std::filesystem::path>> two_seeds(const std::filesystem::path& folder,
                                                          const std::string& hash) {
  std::vector<std::vector<std::filesystem::path>> folders(2);
  for (const char* seed : {"1", "2"}) {
    const double off = seed[0] == '1' ? 0.01 : -0.01;
    std::vector<testing::DocumentScore> a;
    std::vector<testing::DocumentScore> b;
    for (int i = 0; i < 4; ++i) {
      a.push_back({std::to_string(i), 0.0, 1.0});
      b.push_back({std::to_string(i), 0.0, 1.0 + off - 0.1 * i});
    }
    folders[0].push_back(folder / "a" / seed);
    folders[1].push_back(folder / "b" / seed);
    write_scores(folders[0].back(), a, {"facts"}, hash);
    write_scores(folders[1].back(), b, {"facts"}, hash);
  }
  return folders;
}

TEST(CompareRuns, QuestionsThatAllSeedsShareWidenTheInterval) {
  const TestDirectory directory;
  const auto own = two_seeds(directory.path() / "own", "");
  const auto same = two_seeds(directory.path() / "same", "xxh3:0123456789abcdef");
  ScoreFolders folders;
  const auto nested = compare_runs(own[1], own[0], facts_column(true), folders);
  const auto crossed = compare_runs(same[1], same[0], facts_column(true), folders);
  EXPECT_NEAR(nested.seeds->difference, crossed.seeds->difference, 1e-12);
  EXPECT_NEAR(nested.seeds->standard_error, 0.01, 1e-9);  // of the seeds' means alone
  // The variance of 0, -0.1, -0.2, -0.3 over 4, and of the seeds; no question differs by seed.
  EXPECT_NEAR(crossed.seeds->standard_error, std::sqrt(0.05 / 3 / 4 + 1e-4), 1e-9);
}

TEST(CompareRuns, SeedsThatDisagreeAreNotToldApart) {
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

TEST(CompareRuns, SeedsThatAgreeByAccidentAreNotToldApart) {
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
  EXPECT_EQ(compared.seeds->difference, 0.125);
  EXPECT_FALSE(compared.seeds->excludes_zero());
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

/// What is said of two seeds with this difference.
Verdict verdict_of(const Difference& difference, bool lower_is_better) {
  SystemComparison comparison{.questions = difference, .seeds = SeedDifference{}, .num_seeds = 2};
  static_cast<Difference&>(*comparison.seeds) = difference;
  judge(comparison, lower_is_better);
  return comparison.verdict;
}

TEST(Judge, SignAndDirectionAndPDecide) {
  const Difference falls{.difference = -0.2, .low = -0.3, .high = -0.1, .p = 0.01};
  const Difference rises{.difference = 0.2, .low = 0.1, .high = 0.3, .p = 0.01};
  EXPECT_EQ(verdict_of(falls, /*lower_is_better=*/true), Verdict::kBetter);
  EXPECT_EQ(verdict_of(falls, /*lower_is_better=*/false), Verdict::kWorse);
  EXPECT_EQ(verdict_of(rises, /*lower_is_better=*/true), Verdict::kWorse);
  EXPECT_EQ(verdict_of(rises, /*lower_is_better=*/false), Verdict::kBetter);
  EXPECT_EQ(verdict_of({.difference = -0.2, .low = -0.4, .high = 0.0, .p = 0.051}, true),
            Verdict::kOpen);
}

TEST(Judge, WhatTheStudyCouldHaveSeenAndWhatItTakesFollowFromTheNoise) {
  // Three seeds, differences 0.1, 0.2, 0.3: standard error 0.1 / sqrt 3.
  const std::vector<TaskDifferences> tasks = {{.by_seed = {{0.1}, {0.2}, {0.3}}}};
  const auto compared = compare_seeds(tasks, 1.2, 1.0, /*lower_is_better=*/true);
  EXPECT_NEAR(compared.seeds->deviation, 0.1, 1e-12);
  EXPECT_NEAR(*compared.smallest_effect, smallest_effect(0.1 / std::sqrt(3.0), 2), 1e-9);
  EXPECT_EQ(compared.seeds_needed, seeds_needed(0.2, {.deviation = 0.1}));
  EXPECT_EQ(compared.verdict, Verdict::kOpen);  // p = 0.074
  EXPECT_EQ(how_sure(compared), "3 seeds, p = 0.074; an effect of this size takes about 5 seeds");
  // One seed: what earlier runs scattered by.
  SystemComparison one{.here = 1.2,
                       .there = 1.0,
                       .questions = {.difference = 0.2, .low = 0.19, .high = 0.21, .p = 0.001},
                       .num_seeds = 1,
                       .earlier_deviation = 0.1};
  judge(one, true);
  EXPECT_EQ(how_sure(one), "1 seed; an effect of this size takes about 5 seeds");
  one.earlier_deviation = 100.0;
  judge(one, true);
  EXPECT_EQ(how_sure(one), "1 seed; an effect of this size takes more than 1000 seeds");
}

TEST(JudgeFamily, OneFindingOfManyTestsNeedsMore) {
  const auto compared = [] {
    return compare_seeds({{.by_seed = {{0.27}, {0.3}, {0.33}}}}, 1.3, 1.0, true);  // p = 0.0033
  };
  std::vector<SystemComparison> family(20, compared());
  auto mirrored = compare_seeds({{.by_seed = {{-0.27}, {-0.3}, {-0.33}}}}, 1.0, 1.3, true);
  EXPECT_EQ(family[0].verdict, Verdict::kWorse);
  EXPECT_EQ(mirrored.verdict, Verdict::kBetter);
  std::vector<std::vector<SystemComparison*>> tests;
  for (auto& one : family) {
    tests.push_back({&one});
  }
  tests[0].push_back(&mirrored);
  judge_family(tests);
  EXPECT_EQ(family[0].family_size, 20) << "A against B and B against A are one test";
  EXPECT_NEAR(family[0].adjusted_p, 20 * family[0].seeds->p, 1e-12);
  EXPECT_EQ(mirrored.adjusted_p, family[0].adjusted_p);
  EXPECT_EQ(family[0].verdict, Verdict::kOpen);
  EXPECT_EQ(mirrored.verdict, Verdict::kOpen);
  EXPECT_TRUE(family[0].decisive.excludes_zero()) << "intervals are not adjusted";
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
          {"p", questions[0] > 0 || questions[1] < 0 ? 0.03 : 0.3},
          {"seeds",
           {{"difference", (seeds[0] + seeds[1]) / 2},
            {"low", seeds[0]},
            {"high", seeds[1]},
            {"p", seeds[0] > 0 || seeds[1] < 0 ? 1e-4 : 0.2}}}};
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
  EXPECT_NE(claims.find(fmt::format("RQ1 {} (3 seeds, adjusted p", claim_verdict(verdict))),
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
  expect_everywhere(with_intervals({-0.5, -0.4}, {-1.2, 0.3}), Verdict::kOpen, "Not told apart",
                    "not told apart");
  // The seeds agree by accident: their questions do not tell.
  expect_everywhere(with_intervals({-0.5, 0.1}, {-0.3, -0.1}), Verdict::kOpen, "Not told apart",
                    "not told apart");
  expect_everywhere(with_intervals({-0.5, -0.4}, {-0.6, -0.3}), Verdict::kBetter, "Yes", "better");
}

TEST(CompleteComparisons, FindingsAreOneFamilyAndTheRestOfAColumnAnother) {
  const auto part = testing::typed(testing::benchmark_part());
  const auto size = [&](const char* system, const char* other, const char* column) {
    return part.comparisons.at({system, other, column}).family_size;
  };
  EXPECT_EQ(size("loop3", "isopar", "reasoning_bpb"), 5);
  EXPECT_EQ(size("isoflop", "loop3", "facts_bpb"), 5);
  EXPECT_EQ(size("loop3", "isoflop", "facts_bpb"), 5) << "the other way round it is a finding";
  // Of ten systems nine against each of IsoPar and IsoFLOP, the two of these against each other once,
  // and without the pairs of the findings (loop3 with isopar, and with isoflop).
  EXPECT_EQ(size("loop7", "isopar", "reasoning_bpb"), 2 * 9 - 1 - 2);
  EXPECT_EQ(size("loop3", "isopar", "facts_accuracy"), 2 * 9 - 1);
}

TEST(CompleteComparisons, AgainstIsTheSameTestTheOtherWayRound) {
  const auto part = testing::typed(testing::benchmark_part());
  const auto& stored = part.comparisons.at({"loop3", "isopar", "reasoning_bpb"});
  const auto& turned = part.comparisons.at({"isopar", "loop3", "reasoning_bpb"});
  ASSERT_TRUE(turned.seeds);
  EXPECT_FALSE(turned.estimated);
  EXPECT_EQ(turned.here, stored.there);
  EXPECT_EQ(turned.seeds->low, -stored.seeds->high);
  EXPECT_EQ(turned.questions.high, -stored.questions.low);
  EXPECT_EQ(turned.adjusted_p, stored.adjusted_p);
  EXPECT_EQ(turned.verdict, Verdict::kWorse);
  EXPECT_EQ(stored.verdict, Verdict::kBetter);
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

TEST(CompleteComparisons, SeedsInCommonAreCountedWhereTheyWereNotPaired) {
  auto json = testing::benchmark_part();
  for (auto& system : json["systems"]) {
    system.erase("against");
  }
  const auto part = testing::typed(json);
  const auto& comparison = part.comparisons.at({"loop3", "isopar", "facts_bpb"});
  EXPECT_TRUE(comparison.estimated);
  EXPECT_EQ(comparison.num_seeds, 3);
  EXPECT_EQ(comparison.verdict, Verdict::kOpen);
  expect_contains(how_sure(comparison), "3 seeds, not paired");
  expect_contains(describe_certainty(part).at(0), "No two systems were compared seed by seed: ");
}

TEST(DescribeCertainty, WhyThereIsNoFindingIsSaid) {
  const auto first = [](const std::vector<int>& seeds_of_isopar) {
    auto json = testing::benchmark_part();
    for (auto& system : json["systems"]) {
      system.erase("against");
      system["seeds"] = {1};
    }
    json["systems"][0]["seeds"] = seeds_of_isopar;
    json["systems"] = {json["systems"][0], json["systems"][1]};
    return describe_certainty(testing::typed(json)).at(0);
  };
  expect_contains(first({1, 2}), "No two systems have more than one seed in common: ");
  expect_contains(first({2}), "No two systems have a seed in common: ");
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
