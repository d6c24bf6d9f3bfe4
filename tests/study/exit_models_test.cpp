/// Several models' rows as one, and what rows say together.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "loopbank/study/exit_conclusions.h"
#include "loopbank/study/exit_log.h"
#include "loopbank/study/exit_words.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::expect_contains;
using testing::TestDirectory;

/// @param documents  bits per byte of each
ExitResult row_of_exits(const std::string& rule, std::vector<double> documents, double flops,
                        ExitWhere where = ExitWhere::kDecode, const std::string& kv = "full") {
  ExitResult row{.rule = rule, .hard = rule.ends_with(",hard"), .kv = kv, .where = where};
  row.bpb = mean_of(documents);
  row.document_bpb = std::move(documents);
  row.flops_per_token = flops;
  row.mean_loops_by_layer = {1.0, 2.0};
  return row;
}

std::vector<double> shifted(std::vector<double> values, double by) {
  for (auto& value : values) {
    value += by;
  }
  return values;
}

const std::vector<double> kDocuments = {1.0, 1.5, 1.2, 1.9, 1.4};

/// A gate at 50 of 100 FLOPs, and a rule without one at 48 and 56 that is worse by 0.01 and 0.03.
ExitStudy study_at_odds(double by = 0.0) {
  const auto of_all = shifted(kDocuments, by);
  ExitStudy study{.documents = 5, .scored_tokens = 100, .timed_documents = 2};
  study.results = {
      row_of_exits("all", of_all, 100.0),
      row_of_exits("cdf:0.9", shifted(of_all, 0.02), 50.0),
      row_of_exits("cdf:0.9,hard", shifted(of_all, 0.12), 50.0),
      row_of_exits("change:0.5", shifted(of_all, 0.06), 48.0),
      row_of_exits("change:0.2", shifted(of_all, 0.02), 56.0),
      row_of_exits("budget:1", shifted(of_all, 0.09), 30.0),
      row_of_exits("cdf:0.9", shifted(of_all, 0.03), 50.0, ExitWhere::kDecode, "last"),
      row_of_exits("all", of_all, 100.0, ExitWhere::kEverywhere),
      row_of_exits("cdf:0.9", shifted(of_all, 0.07), 50.0, ExitWhere::kEverywhere, "last")};
  return study;
}

const ExitComparison& comparison_of(const std::vector<ExitComparison>& list,
                                    const std::string& question, const std::string& b) {
  const auto found = std::find_if(list.begin(), list.end(), [&](const auto& one) {
    return one.question == question && one.b == b;
  });
  if (found == list.end()) {
    throw std::runtime_error("no comparison " + question + " " + b);
  }
  return *found;
}

TEST(ExitConclusions, TheGateIsComparedAtEqualFlops) {
  auto study = study_at_odds();
  conclude_exits(study);
  const auto& change = comparison_of(study.comparisons, "gate", "change");
  EXPECT_EQ(change.a, "cdf:0.9");
  EXPECT_EQ(change.flops_b, 50.0);
  // At 50 of 48 to 56: 0.06 - 0.04 / 4.
  EXPECT_NEAR(change.bpb_difference.difference, 0.05 - 0.02, 1e-12);
  EXPECT_EQ(change.verdict, Verdict::kWorse);
  EXPECT_FALSE(change.over_seeds);
  // Between one loop and all: 0.09 - 0.09 * 20 / 70.
  const auto& budget = comparison_of(study.comparisons, "gate", "budget");
  EXPECT_NEAR(budget.bpb_difference.difference, 0.09 * 50 / 70 - 0.02, 1e-12);
  EXPECT_NEAR(comparison_of(study.comparisons, "hard", "cdf:0.9,hard").bpb_difference.difference,
              0.1, 1e-12);
  const auto& prefill = comparison_of(study.comparisons, "prefill", "cdf:0.9");
  EXPECT_EQ(prefill.kv, "last");
  EXPECT_NEAR(prefill.bpb_difference.difference, 0.04, 1e-12);
}

TEST(ExitConclusions, ARuleWithoutAThresholdNearIsNotCompared) {
  auto study = study_at_odds();
  study.results[3].flops_per_token = 40.0;
  conclude_exits(study);
  EXPECT_THROW((void)comparison_of(study.comparisons, "gate", "change"), std::runtime_error);
  EXPECT_NO_THROW((void)comparison_of(study.comparisons, "gate", "budget"));
}

TEST(ExitConclusions, AnswersAreMeansOverThresholds) {
  auto study = study_at_odds();
  study.results.insert(study.results.begin() + 3,
                       {row_of_exits("cdf:0.99", kDocuments, 70.0),
                        row_of_exits("cdf:0.99,hard", shifted(kDocuments, 0.3), 70.0)});
  conclude_exits(study);
  const auto& hard = comparison_of(study.answers, "hard", "cdf,hard");
  EXPECT_EQ(hard.a, "cdf");
  EXPECT_EQ(hard.points, 2);
  EXPECT_NEAR(hard.bpb_difference.difference, 0.2, 1e-12);
  EXPECT_EQ(study.comparisons.size(), 2U + 2U + 1U + 1U);  // budget twice, change once near
  std::string said;
  for (const auto& answer : exit_answers(study)) {
    said += answer.headline + "\n";
    for (const auto& sentence : answer.sentences) {
      said += sentence + "\n";
    }
  }
  expect_contains(said,
                  "Soft mixture or hard exit?\n1 for the mixture, 0 for the hard exit, 0 not told "
                  "apart.\ncdf hard in place of soft, mean of 2 rules: +0.2000 bits per byte (95 % "
                  "interval over documents");
  expect_contains(said, "2 for the gate, 0 for the rule without one, 0 not told apart");
}

TEST(ExitConclusions, NoiseIsWhatAllSavesAgainstItself) {
  auto study = study_at_odds();
  for (size_t i = 0; i < study.results.size(); ++i) {
    study.results[i].noise_share = i == 2 ? -0.3 : 0.01 * static_cast<double>(i);
  }
  conclude_exits(study);
  ASSERT_EQ(study.noise.size(), 2U);
  EXPECT_EQ(study.noise[0].rows, 7);
  EXPECT_NEAR(study.noise[0].half_width, 0.3, 1e-12);  // of 7 rows none is left out
  EXPECT_NEAR(study.noise[0].median, 0.03, 1e-12);
  // Of 40, two are.
  while (study.results.size() < 42) {
    study.results.push_back(row_of_exits("budget:1", kDocuments, 30.0));
  }
  study.results.back().noise_share = 0.2;
  conclude_exits(study);
  EXPECT_EQ(study.noise[0].rows, 40);
  EXPECT_NEAR(study.noise[0].half_width, 0.06, 1e-12);
}

TEST(CombineExits, GivesMeansAndIntervalsOverModels) {
  std::vector<ExitStudy> studies = {study_at_odds(), study_at_odds(0.2), study_at_odds(0.5)};
  studies[1].results[1] = row_of_exits("cdf:0.9", shifted(kDocuments, 0.2 + 0.03), 56.0);
  studies[1].results[1].time_saved_share = 0.3;
  const auto study = combine_exits(studies);
  EXPECT_EQ(study.models, 3);
  const auto& row = study.results[1];
  EXPECT_NEAR(row.bpb, mean_of(kDocuments) + (0.7 + 0.02 + 0.03 + 0.02) / 3, 1e-12);
  EXPECT_NEAR(row.flops_per_token, 52.0, 1e-12);
  EXPECT_NEAR(row.flops_saved_share, 0.48, 1e-12);
  EXPECT_NEAR(row.time_saved_share, 0.1, 1e-12);
  EXPECT_EQ(row.by_model.size(), 3U);
  EXPECT_NEAR(row.bpb_difference.difference, 0.07 / 3, 1e-12);
  ASSERT_TRUE(row.bpb_over_seeds);
  const std::vector<double> differences = {0.02, 0.03, 0.02};
  const auto wanted = student_difference(differences);
  EXPECT_NEAR(row.bpb_over_seeds->low, wanted->low, 1e-12);
  EXPECT_NEAR(row.bpb_over_seeds->high, wanted->high, 1e-12);
  // At 56 FLOPs the second model's `change` costs 0.02, 0.01 less than its gate.
  const auto& change = comparison_of(study.comparisons, "gate", "change");
  EXPECT_NEAR(change.bpb_difference.difference, (0.03 - 0.01 + 0.03) / 3, 1e-12);
  ASSERT_TRUE(change.over_seeds);
  EXPECT_EQ(change.verdict, Verdict::kOpen);  // one of three says otherwise
  const auto json = to_json(study);
  EXPECT_EQ(json.at("models"), 3);
  EXPECT_EQ(json.at("results")[1].at("by_model").size(), 3U);
  EXPECT_EQ(json.at("results")[1].at("by_model")[1].at("flops_per_token"), 56.0);
}

TEST(CombineExits, DocumentsOfDifferentNumberStandForThemselves) {
  const auto pooled = pooled_documents({{1.0, 3.0}, {5.0, 6.0, 7.0, 8.0}});
  EXPECT_EQ(pooled.size(), 6U);
  EXPECT_NEAR(mean_of(pooled), (2.0 + 6.5) / 2, 1e-12);
  EXPECT_EQ(pooled_documents({{1.0, 3.0}, {5.0, 6.0}}), (std::vector<double>{3.0, 4.5}));
}

TEST(CombineExits, OtherRowsAreRefused) {
  std::vector<ExitStudy> studies = {study_at_odds(), study_at_odds()};
  studies[1].results[3].rule = "change:0.4";
  EXPECT_THROW((void)combine_exits(studies), Error);
}

nlohmann::ordered_json settings_of_log(int turns = 3) {
  return {{"models", {"a", "b"}}, {"turns", turns}};
}

TEST(ExitLog, GoesOnWhereItStopped) {
  const TestDirectory directory;
  const auto path = directory.path() / "rows.jsonl";
  auto row = row_of_exits("cdf:0.9,hard", {1.25, 0.1}, 12.5, ExitWhere::kScoring, "copy");
  row.noise_share = -0.125;
  row.cpu_saved_share = 0.375;
  row.tasks = {{.task = "facts", .value = 0.5, .difference = {}, .questions = {1.0, 0.0}}};
  {
    ExitLog log(path, settings_of_log());
    EXPECT_TRUE(log.rules().empty());
    log.write_rules({"all", "cdf:0.9,hard"});
    log.append(1, row);
  }
  const auto whole = read_file(path);
  write_file_atomically(path, whole + R"({"model": 1, "rule": "al)");
  ExitLog log(path, settings_of_log());
  EXPECT_EQ(read_file(path), whole);  // what was cut off is gone
  EXPECT_EQ(log.rules(), (std::vector<std::string>{"all", "cdf:0.9,hard"}));
  EXPECT_TRUE(log.rows(0).empty());
  const auto read = log.rows(1);
  ASSERT_EQ(read.size(), 1U);
  EXPECT_EQ(read[0].rule, row.rule);
  EXPECT_TRUE(read[0].hard);
  EXPECT_EQ(read[0].kv, "copy");
  EXPECT_EQ(read[0].where, ExitWhere::kScoring);
  EXPECT_EQ(read[0].bpb, row.bpb);
  EXPECT_EQ(read[0].noise_share, -0.125);
  EXPECT_EQ(read[0].cpu_saved_share, 0.375);
  EXPECT_EQ(read[0].document_bpb, row.document_bpb);
  EXPECT_EQ(read[0].mean_loops_by_layer, row.mean_loops_by_layer);
  ASSERT_EQ(read[0].tasks.size(), 1U);
  EXPECT_EQ(read[0].tasks[0].value, 0.5);
  EXPECT_EQ(read[0].tasks[0].questions, (std::vector<double>{1.0, 0.0}));
}

TEST(ExitLog, RefusesRowsOfOtherSettingsAndOtherTexts) {
  const TestDirectory directory;
  const auto path = directory.path() / "rows.jsonl";
  { ExitLog log(path, settings_of_log()); }
  try {
    ExitLog log(path, settings_of_log(5));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), path.string() +
                                ":1: expected rows measured with turns = 5, got 3. Ask "
                                "for what they were measured with, or give another "
                                "--out.");
  }
  write_file_atomically(path, "a diary\n");
  EXPECT_THROW(ExitLog(path, settings_of_log()), Error);
}

}  // namespace
}  // namespace loopbank
