#include "loopbank/study/system_exits.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "../support/test_directory.h"
#include "loopbank/study/csv.h"
#include "loopbank/study/exits_table.h"
#include "loopbank/study/results.h"
#include "report_sample.h"
#include "stored_scores.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;
using Json = nlohmann::ordered_json;

const std::vector<Column> kFactsBpb = {{.key = "facts_bpb",
                                        .title = "facts BPB",
                                        .kind = "knowledge",
                                        .measure = Measure::kBpb,
                                        .tasks = {"facts"},
                                        .paper_key = {},
                                        .paper_title = {},
                                        .guessing = {}}};

RunExit run_exit(const std::string& name, double saved, double rise) {
  return {.name = name,
          .rule = name.substr(0, name.find(' ')) + ":0.9",
          .kv = "full",
          .where = "scoring",
          .bpb = 1.0 + rise,
          .mean_loops = 2.0,
          .flops_per_token = 1e6 * (1 - saved),
          .flops_saved = saved,
          .time_saved = saved / 2,
          .row_bpb = {0.9 + rise, 1.1 + rise, 1.0 + rise},
          .row_bpb_of_all = {0.9, 1.1, 1.0}};
}

/// A seed's exits, its rules losing `rise` more.
RunExits exits_of_seed(int64_t seed, double rise) {
  RunExits exits{.seed = seed, .rows = 3, .scored_tokens = 288};
  exits.results = {run_exit("all", 0.0, 0.0), run_exit("cdf 1/2", 0.3, 0.002 + rise),
                   run_exit("change 1/2", 0.31, 0.01 + rise), run_exit("budget 1", 0.6, 0.1)};
  exits.chosen = "cdf:0.9";
  exits.chosen_flops_saved = 0.3;
  return exits;
}

/// Seeds with these rises of cdf and change, and a run folder for each: answers under the chosen
/// rule cost 0.01 more than with all loops.
std::vector<RunExitsAt> runs_with(const fs::path& folder, const std::vector<double>& rises) {
  std::vector<RunExitsAt> runs;
  for (size_t i = 0; i < rises.size(); ++i) {
    const auto own = folder / std::to_string(i);
    testing::write_scores(own / "scores", {{"a", 1.0, 0.5}, {"b", 0.0, 0.7}});
    testing::write_scores(own / "scores-early", {{"a", 1.0, 0.51}, {"b", 0.0, 0.71}});
    runs.push_back({exits_of_seed(static_cast<int64_t>(i) + 1, rises[i]), own});
  }
  return runs;
}

TEST(SummarizeExits, RulesOfOneNameAreOneRowOverTheSeeds) {
  const TestDirectory directory;
  auto runs = runs_with(directory.path(), {0.0, 0.001, 0.002});
  runs[1].exits.results[1].rule = "cdf:0.7";
  runs[1].exits.results[1].flops_saved = 0.36;
  const auto exits = summarize_exits(runs, kFactsBpb);
  EXPECT_EQ(exits.seeds, (std::vector<int64_t>{1, 2, 3}));
  const auto* cdf = exits.find("cdf 1/2", "full", "scoring");
  ASSERT_NE(cdf, nullptr);
  EXPECT_EQ(cdf->rules, (std::vector<std::string>{"cdf:0.9", "cdf:0.7", "cdf:0.9"}));
  EXPECT_EQ(cdf->label(), "cdf 1/2");
  EXPECT_NEAR(cdf->flops_saved(), (0.3 + 0.36 + 0.3) / 3, 1e-12);
  EXPECT_NEAR(cdf->time_saved(), 0.15, 1e-12);
  EXPECT_NEAR(cdf->bpb.there, 1.0, 1e-12);
  EXPECT_NEAR(cdf->bpb.here, 1.003, 1e-12);
  // 0.002, 0.003, 0.004: mean 0.003, deviation 0.001, t(2) = 4.3027.
  EXPECT_TRUE(cdf->bpb.over_seeds);
  EXPECT_NEAR(cdf->bpb.decisive.low, 0.003 - 4.30265 * 0.001 / std::sqrt(3.0), 1e-7);
  EXPECT_NEAR(cdf->bpb.decisive.high, 0.003 + 4.30265 * 0.001 / std::sqrt(3.0), 1e-7);
  EXPECT_EQ(cdf->bpb.verdict, Verdict::kWorse);
  EXPECT_NEAR(exits.questions.at("facts_bpb").here, 0.61, 1e-12);
  EXPECT_NEAR(exits.questions.at("facts_bpb").there, 0.6, 1e-12);
  EXPECT_EQ(exits.questions.at("facts_bpb").verdict, Verdict::kWorse);
}

TEST(SummarizeExits, OneSeedIsComparedOverItsRows) {
  const TestDirectory directory;
  const auto exits = summarize_exits(runs_with(directory.path(), {0.0}), kFactsBpb);
  const auto* cdf = exits.find("cdf 1/2", "full", "scoring");
  ASSERT_NE(cdf, nullptr);
  EXPECT_EQ(cdf->label(), "cdf:0.9");
  EXPECT_FALSE(cdf->bpb.over_seeds);
  EXPECT_FALSE(half_interval(cdf->flops_saved_by_seed).has_value());
  EXPECT_NEAR(cdf->bpb.decisive.low, 0.002, 1e-12);  // every row loses as much
}

TEST(SummarizeExits, WhatNotEverySeedHasIsLeftOut) {
  const TestDirectory directory;
  auto runs = runs_with(directory.path(), {0.0, 0.001});
  runs[1].exits.results.erase(runs[1].exits.results.begin() + 1);
  const auto exits = summarize_exits(runs, kFactsBpb);
  EXPECT_EQ(exits.find("cdf 1/2", "full", "scoring"), nullptr);
  EXPECT_NE(exits.find("change 1/2", "full", "scoring"), nullptr);
  EXPECT_TRUE(exits.gate.empty());
}

TEST(SummarizeExits, AllLoopsAreChosenWhereNoRuleIsCheapEnough) {
  const TestDirectory directory;
  auto runs = runs_with(directory.path(), {0.0, 0.0});
  for (auto& run : runs) {
    run.exits.chosen = "all";
    fs::remove_all(run.folder / "scores-early");
  }
  const auto questions = summarize_exits(runs, kFactsBpb).questions.at("facts_bpb");
  EXPECT_EQ(questions.here, questions.there);
  EXPECT_EQ(questions.verdict, Verdict::kOpen);
}

TEST(CompareGate, AtEqualFlopsOfEverySeedAlone) {
  const TestDirectory directory;
  auto runs = runs_with(directory.path(), {0.0, 0.0005, 0.001});
  auto exits = summarize_exits(runs, kFactsBpb);
  ASSERT_EQ(exits.gate.size(), 1U);
  EXPECT_EQ(exits.gate[0].gate, "cdf 1/2");
  EXPECT_EQ(exits.gate[0].without, "change 1/2");
  EXPECT_NEAR(exits.gate[0].bpb.decisive.difference, -0.008, 1e-12);
  EXPECT_EQ(exits.gate[0].bpb.verdict, Verdict::kBetter);
  runs[2].exits.results[2].flops_per_token *= 0.9;
  EXPECT_TRUE(summarize_exits(runs, kFactsBpb).gate.empty());
}

TEST(MostSaved, TheCheapestWithinThePrice) {
  const TestDirectory directory;
  const auto exits = summarize_exits(runs_with(directory.path(), {0.0, 0.001}), kFactsBpb);
  const auto at = [&](double share) {
    return most_saved(exits, "scoring", share, &ExitSummary::flops_saved)->name;
  };
  EXPECT_EQ(at(0.001), "all");
  EXPECT_EQ(at(0.0024), "all");
  EXPECT_EQ(at(0.0026), "cdf 1/2");  // 0.0025 on average
  EXPECT_EQ(at(0.2), "budget 1");
  EXPECT_EQ(most_saved(exits, "decode", 0.1, &ExitSummary::flops_saved), nullptr);
}

TEST(IsClearlyWithin, RestsOnTheDecisiveInterval) {
  const TestDirectory directory;
  const auto exits = summarize_exits(runs_with(directory.path(), {0.0, 0.001, 0.002}), kFactsBpb);
  const auto& cdf = *exits.find("cdf 1/2", "full", "scoring");
  EXPECT_FALSE(is_clearly_within(cdf, 0.004));  // 0.003 +- 0.0025 over the seeds
  EXPECT_TRUE(is_clearly_within(cdf, 0.006));
}

TEST(SystemExits, JsonReturnsWhatWasWritten) {
  const TestDirectory directory;
  const auto json = to_json(summarize_exits(runs_with(directory.path(), {0.0, 0.001}), kFactsBpb));
  EXPECT_EQ(to_json(system_exits_from_json(json, kFactsBpb, "here")), json);
  EXPECT_EQ(json["results"][1]["verdict"], "too near to tell");
  auto broken = json;
  broken["results"][1]["rules"] = 3;
  expect_contains(
      error_of(ErrorCode::kData,
               [&] { (void)system_exits_from_json(broken, kFactsBpb, "r.json"); }),
      "r.json.results.1: expected what stopping early costs a system, got number as \"rules\"");
}

TEST(SystemExits, ResultsOfBeforeHaveNone) {
  auto part = testing::benchmark_part();
  EXPECT_TRUE(testing::typed(part).find("loop3")->exits.has_value());
  part.erase("exits");
  const auto read = testing::typed(part);
  EXPECT_FALSE(read.find("loop3")->exits.has_value());
  EXPECT_EQ(format_exits(read), "What stopping early costs and saves was not measured.\n");
}

TEST(ExitsTable, BothPricesOfEverySystem) {
  const auto part = testing::typed(testing::benchmark_part());
  const auto rows = exits_rows(part);
  ASSERT_EQ(rows.size(), 2U * 12U);  // six of the paper's, six of the grid
  EXPECT_EQ(rows[0].best->name, "cdf 3/4");
  EXPECT_EQ(rows[1].best->name, "cdf 1/2");
  const auto text = format_exits(part);
  // 20, 21 and 22 %: 21 +- 4.3027 / sqrt 3.
  expect_contains(text,
                  "cdf 3/4       +0.05 %  21.0 +- 2.5 %  19.0 +- 2.5 %  11.0 +- 2.5 %  BPB up by "
                  "0.1 % at most\n");
  EXPECT_TRUE(
      text.ends_with("\nUp to 21 % of the FLOPs and 19 % of the time at equal perplexity.\n"));
  const auto data = exits_data(part);
  EXPECT_EQ(data["rows"].size(), 24U);
  EXPECT_EQ(data["rows"][0]["cells"].size(), data["columns"].size());
  EXPECT_EQ(data["rows"][0]["cells"].back(), "");
  EXPECT_EQ(data["rows"][1]["cells"].back(), "+0.50 %, worse");
}

TEST(ExitsCsv, ARowAResult) {
  const auto csv = exits_csv(testing::typed(testing::benchmark_part()));
  expect_contains(csv, "loop3,scoring,full,cdf 1/2,cdf:0 cdf:1 cdf:2,2.2,600000,0.41");
  expect_contains(csv, "loop3,decode,first,cdf 1/2,");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 12 * 22);
}

}  // namespace
}  // namespace loopbank
