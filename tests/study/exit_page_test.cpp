#include "loopbank/study/exit_page.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace loopbank {
namespace {

ExitResult result_for_page(const std::string& rule, ExitWhere where, double bpb, double saved) {
  ExitResult result{.rule = rule, .hard = rule.ends_with(",hard"), .kv = "full", .where = where};
  result.bpb = bpb;
  result.flops_saved_share = saved;
  result.time_saved_share = saved / 2;
  result.bpb_difference.low = -0.01;
  result.bpb_difference.high = 0.03;
  return result;
}

ExitStudy study_for_page() {
  ExitStudy study{.documents = 4, .scored_tokens = 100, .timed_documents = 2};
  for (const auto where : {ExitWhere::kDecode, ExitWhere::kEverywhere, ExitWhere::kScoring}) {
    study.results.push_back(result_for_page("all", where, 2.0, 0.0));
    study.results.push_back(result_for_page("cdf:0.5", where, 2.004, 0.5));
    study.results.push_back(result_for_page("cdf:0.9", where, 2.001, 0.2));
    study.results.push_back(result_for_page("cdf:0.9,hard", where, 2.5, 0.2));
    study.results.back().on_front_of_flops = false;
    study.results[study.results.size() - 2].on_front_of_flops = true;
  }
  study.comparisons.push_back({.question = "hard",
                               .where = ExitWhere::kDecode,
                               .a = "cdf:0.9",
                               .b = "cdf:0.9,hard",
                               .flops_a = 10.0,
                               .flops_b = 10.0,
                               .bpb_difference = {}});
  return study;
}

TEST(ExitPage, ACurveARuleFromLittleToMuchSaved) {
  const auto figures = exit_figures(study_for_page());
  ASSERT_EQ(figures.size(), 4U);
  const auto has_hard = [](const Figure& figure) {
    return std::any_of(figure.series.begin(), figure.series.end(),
                       [](const auto& series) { return series.label == "cdf, hard"; });
  };
  EXPECT_FALSE(has_hard(figures[1]));  // a quarter worse: not near
  const auto& flops = figures[3];
  EXPECT_EQ(flops.id, "flops");
  EXPECT_EQ(panels_of(flops), (std::vector<std::string>{"decode", "everywhere", "scoring"}));
  const auto curve = std::find_if(flops.series.begin(), flops.series.end(),
                                  [](const auto& series) { return series.label == "cdf"; });
  ASSERT_NE(curve, flops.series.end());
  EXPECT_EQ(curve->x, (std::vector<double>{20.0, 50.0}));
  EXPECT_NEAR(curve->y[0], 0.05, 1e-9);  // % of 2.0
  EXPECT_NEAR(curve->y[1], 0.2, 1e-9);
  EXPECT_EQ(curve->notes, (std::vector<std::string>{"cdf:0.9", ""}));
  EXPECT_NEAR(curve->error[0], 1.0, 1e-9);
  EXPECT_FALSE(curve->hidden);
  const auto hard = std::find_if(flops.series.begin(), flops.series.end(),
                                 [](const auto& series) { return series.label == "cdf, hard"; });
  ASSERT_NE(hard, flops.series.end());
  EXPECT_TRUE(hard->hidden);
}

TEST(ExitPage, HoldsItsDataAsTextAlone) {
  auto study = study_for_page();
  study.results[1].rule = "cdf:<script>";
  const auto page = exit_page(study, "exits </title>", "a & b");
  EXPECT_EQ(page.find("cdf:<script>"), std::string::npos);
  EXPECT_EQ(page.find("exits </title>"), std::string::npos);
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const auto begin = page.find(open);
  ASSERT_NE(begin, std::string::npos);
  const auto end = page.find("</script>", begin);
  const auto data =
      nlohmann::json::parse(page.substr(begin + open.size(), end - begin - open.size()));
  EXPECT_EQ(data.at("rows").size(), study.results.size());
  EXPECT_EQ(data.at("lead"), "a & b");
  EXPECT_EQ(data.at("comparisons").size(), 1U);
}

/// What the page's script reads.
nlohmann::json data_of(const std::string& page) {
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const auto begin = page.find(open) + open.size();
  return nlohmann::json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}

TEST(ExitPage, ShowsTasksAndIntervalsOverModelsWhereThereAreSome) {
  auto study = study_for_page();
  const auto columns = data_of(exit_page(study, "", "")).at("columns").size();
  study.models = 3;
  for (auto& result : study.results) {
    result.bpb_over_seeds = Difference{.difference = 0.1, .low = -0.0503, .high = 0.25};
    if (result.where == ExitWhere::kScoring) {
      result.tasks = {{.task = "facts", .value = 0.625, .difference = {}, .questions = {}}};
      result.tasks[0].difference.low = -0.125;
    }
  }
  const auto data = data_of(exit_page(study, "", ""));
  EXPECT_EQ(data.at("columns").size(), columns + 2);
  EXPECT_EQ(data.at("columns").back(), "facts");
  const auto& row = data.at("rows").back();
  EXPECT_EQ(row.at("where"), "scoring");
  EXPECT_EQ(row.at("cells").size(), columns + 2);
  EXPECT_EQ(row.at("cells")[3], "-0.0503 to +0.2500");
  EXPECT_EQ(row.at("cells").back(), "0.625 (+0.000, -0.125 to +0.000)");
  EXPECT_EQ(data.at("rows")[0].at("cells").size(), columns + 1);  // decoding: no tasks
}

}  // namespace
}  // namespace loopbank
