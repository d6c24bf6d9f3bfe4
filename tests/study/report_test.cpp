#include "loopbank/study/report.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "../support/occurrences.h"
#include "../support/test_directory.h"
#include "loopbank/study/page_data.h"
#include "loopbank/study/page_files.h"
#include "loopbank/support/files.h"
#include "report_sample.h"

namespace loopbank {
namespace {

using testing::count_of;
using testing::expect_contains;
using testing::full_results;
using testing::poor_results;
using Json = nlohmann::ordered_json;

/// What the page's script gets to see.
Json data_of(const Json& results) {
  const auto study = study_result_from_json(results);
  return page_data(study, views_of(study));
}

Json row_of(const Json& data, const std::string& label) {
  for (const auto& group : data["parts"][0]["table"]["groups"]) {
    for (const auto& row : group["rows"]) {
      if (row["label"] == label) {
        return row;
      }
    }
  }
  throw std::runtime_error("no row " + label);
}

/// The comparisons of a system in a column that bear a mark.
std::vector<Json> marks_of(const Json& data, const std::string& system, const std::string& column) {
  std::vector<Json> marks;
  for (const auto& one : data["parts"][0]["table"]["comparisons"]) {
    if (one["system"] == system && one["column"] == column && one["verdict"] != "not told apart") {
      marks.push_back(one);
    }
  }
  return marks;
}

TEST(PageData, ScoresSpreadsMarksAndThePapersStandInOneRow) {
  auto results = full_results();
  auto& loop3 = results["parts"][0]["systems"][1];
  loop3["scores"]["reasoning_bpb"]["mean"] = 1.234;
  loop3["scores"]["reasoning_bpb"]["spread"] = 0.017;
  loop3["against"]["isopar"]["reasoning_bpb"] = {
      {"difference", -0.8}, {"low", -0.9}, {"high", -0.7}, {"p", 0.0001}};
  auto& changed = loop3["against"]["isopar"]["reasoning_bpb"];
  changed["seeds"] = changed;
  const auto data = data_of(results);
  const auto row = row_of(data, "Loop-3");
  EXPECT_EQ(row["scores"][2]["mean"], 1.234);
  EXPECT_EQ(row["scores"][2]["bar"], 0.017);
  EXPECT_EQ(row["paper"][2], 1.687);
  EXPECT_EQ(row["shape"], "4 layers, 3 loops");
  const auto marks = marks_of(data, "Loop-3", "reasoning BPB");
  EXPECT_EQ(marks.at(0)["against"], "IsoPar");
  EXPECT_EQ(marks.at(0)["verdict"], "better");
  expect_contains(marks.at(0)["text"], "-0.800 (95 % interval over seeds -0.900 to -0.700), ");
  expect_contains(marks.at(0)["text"], "3 seeds, adjusted p < 0.001; p < 0.001 alone, 2.0 degrees");
}

TEST(PageData, AMarkRestsOnTheSeedsAndIsAbsentWhereTheyHoldZero) {
  auto results = full_results();
  auto& against = results["parts"][0]["systems"][1]["against"];
  const Json seeds = {{"difference", 0.2}, {"low", 0.05}, {"high", 0.35}, {"p", 0.0003}};
  const Json apart = {{"difference", 0.2}, {"low", -0.05}, {"high", 0.45}, {"p", 0.2}};
  const Json questions = {{"difference", 0.2}, {"low", 0.1}, {"high", 0.3}, {"p", 0.01}};
  against["isopar"]["facts_bpb"] = questions;
  against["isopar"]["facts_bpb"]["seeds"] = seeds;
  against["isoflop"]["facts_bpb"] = questions;
  against["isoflop"]["facts_bpb"]["seeds"] = apart;
  for (auto& system : results["parts"][0]["systems"]) {
    if (system["name"] == "isoflop") {
      system["against"]["loop3"].erase("facts_bpb");  // the same test the other way round
    }
  }
  const auto marks = marks_of(data_of(results), "Loop-3", "facts BPB");
  ASSERT_EQ(marks.size(), 1U) << marks;
  EXPECT_EQ(marks[0]["letter"], "P");
  EXPECT_EQ(marks[0]["verdict"], "worse");  // BPB rose
  expect_contains(marks[0]["text"], "+0.200 (95 % interval over seeds +0.050 to +0.350), ");
  expect_contains(marks[0]["text"], "over questions alone +0.100 to +0.300");
  // Sure by itself, and one of many.
  against["isopar"]["facts_bpb"]["seeds"]["p"] = 0.03;
  EXPECT_EQ(marks_of(data_of(results), "Loop-3", "facts BPB").size(), 0U);
}

TEST(PageData, GroupsHaveTitlesAndTheBestOfEachIsTold) {
  const auto data = data_of(full_results());
  const auto& groups = data["parts"][0]["table"]["groups"];
  ASSERT_EQ(groups.size(), 3U);  // no further systems
  EXPECT_EQ(groups[0]["title"], "The paper's systems");
  EXPECT_EQ(groups[1]["title"], "Loops and memory slots");
  EXPECT_EQ(groups[2]["title"], "Ponder weights");
  for (const auto& group : groups) {
    double best = 1e9;
    for (const auto& row : group["rows"]) {
      best = std::min(best, row["scores"][1]["mean"].get<double>());
    }
    for (const auto& row : group["rows"]) {
      EXPECT_EQ(row["scores"][1]["best"], row["scores"][1]["mean"] == best);
    }
  }
}

TEST(PageData, DisagreementIsToldApart) {
  auto results = full_results();
  const auto kinds = [](const Json& data) {
    std::vector<std::string> list;
    for (const auto& claim : data["parts"][0]["claims"]) {
      list.push_back(claim["kind"]);
    }
    return list;
  };
  const auto before = kinds(data_of(results));
  EXPECT_EQ(before.size(), 5U);
  EXPECT_EQ(before[4], "disagrees");
  for (auto& system : results["parts"][0]["systems"]) {
    if (system["name"] == "mem-g3") {  // the fifth claim's
      Json better = {{"difference", -0.7}, {"low", -0.9}, {"high", -0.5}, {"p", 0.001}};
      better["seeds"] = better;
      system["against"]["isopar-m"]["facts_bpb"] = better;
    }
  }
  const auto data = data_of(results);
  EXPECT_EQ(kinds(data)[4], "agrees");
  EXPECT_EQ(data["parts"][0]["claims"][4]["verdict"], "as in the paper");
  EXPECT_EQ(data["parts"][0]["claims"][4]["interval"], "-0.900 to -0.500");
  EXPECT_EQ(data["parts"][0]["claims"][4]["measure"], "Mem (g0=3) against IsoPar-M, facts BPB");
}

TEST(PageData, TheBoxSaysTheRuleTheSeedsAndWhatCouldHaveBeenSeen) {
  const auto data = data_of(full_results());
  const auto& box = data["parts"][0]["certainty"];
  ASSERT_EQ(box.size(), 3U);
  expect_contains(box[0], "Up to 3 seeds in common");
  expect_contains(box[0], "Holm's adjustment within its family: the findings together (5 tests), ");
  expect_contains(box[0], "facts accuracy 17, ");
  expect_contains(box[2], "Smallest effect that could have been seen");
  for (const char* column : {"facts accuracy ", "facts BPB ", "reasoning BPB "}) {
    expect_contains(box[2], column);
  }
  const auto one = data_of(poor_results());
  EXPECT_TRUE(one["parts"][0]["certainty"].empty() ||
              one["parts"][0]["certainty"][0].get<std::string>().find("nothing is called") !=
                  std::string::npos);
}

TEST(PageData, EveryFigureHasItsPlaceItsCaptionAndItsFile) {
  const auto results = full_results();
  const auto study = study_result_from_json(results);
  const auto csv = make_report(study).csv;
  const auto page = std::string(kPageHtml);
  const auto data = data_of(results);
  for (const auto& part : data["parts"]) {
    for (const auto& figure : part["figures"]) {
      const auto name = figure["name"].get<std::string>();
      expect_contains(page,
                      fmt::format("data-figures=\"{}\"", figure["section"].get<std::string>()));
      EXPECT_TRUE(csv.contains(name + ".csv")) << name;
      for (const char* key : {"title", "caption", "x_title", "y_title"}) {
        EXPECT_NE(figure[key], "") << name << " " << key;
      }
    }
  }
}

TEST(PageData, AShadedFigureTellsWhichOfItsValuesAreBetter) {
  const auto data = data_of(full_results());
  size_t num_rows = 0;
  for (const auto& figure : data["parts"][0]["figures"]) {
    for (const auto& row : figure["series"]) {
      if (figure["id"] == "grid") {
        ++num_rows;
        const bool is_bpb = row["panel"].get<std::string>().find(" BPB") != std::string::npos;
        EXPECT_EQ(row.value("lower_is_better", false), is_bpb) << row["panel"];
      }
    }
  }
  EXPECT_EQ(num_rows, 4U * 3U);  // columns by loops
}

TEST(PageData, APartAloneNeedsNoHeadingOfItsOwn) {
  auto results = full_results();
  EXPECT_EQ(data_of(results)["parts"][0]["title"], "Embedded benchmark");
  results["parts"].erase(1);
  EXPECT_EQ(data_of(results)["parts"][0]["title"], "");
}

TEST(PageData, WhatIsMissingIsSaid) {
  const auto data = data_of(poor_results());
  expect_contains(data["notices"].at(0), "This study is not finished");
  expect_contains(data["lead"],
                  "2 transformers, trained from 1 seed for 2,000 steps (4.1 M tokens)");
  for (const auto& answer : data["parts"][0]["answers"]) {
    EXPECT_EQ(answer["headline"], "Not measured");
    EXPECT_EQ(answer["tone"], "unmeasured");
  }
  EXPECT_EQ(data["parts"][0]["bars"], "standard error over the questions of one seed");
  EXPECT_TRUE(data["tokens"].empty());
}

TEST(PageData, BeforeTheFirstSystemThereIsAPageToo) {
  EXPECT_EQ(data_of(Json::object())["lead"], "No system is done yet.");
  const auto data = data_of({{"parts", {{{"name", "benchmark"}}}}});
  EXPECT_EQ(data["lead"], "No system is done yet.");
  EXPECT_TRUE(data["parts"][0]["table"]["groups"].empty());
}

TEST(PageData, AStudyThatWasCutSaysSo) {
  auto results = full_results();
  results["time_plan"] = {
      {"limit_seconds", 300}, {"steps", 310}, {"steps_of_config", 960}, {"left_out", {"Loop-5"}}};
  expect_contains(data_of(results)["notices"].at(0),
                  "Steps were chosen for the time available (5:00): 310 of 960.");
}

TEST(PageData, NamesOfFilesAreSafe) {
  auto results = full_results();
  results["parts"][0]["name"] = "../a b";
  EXPECT_TRUE(make_report(study_result_from_json(results)).csv.contains("---a-b-table.csv"));
}

TEST(MakeReport, TextsOfUsersCannotBecomeMarkup) {
  auto results = full_results();
  auto& part = results["parts"][0];
  part["systems"][0]["label"] = "Iso<b>Par</b></script>";
  part["title"] = "<i>\"x\"</i>";
  part["settings"] = "</pre><script>";
  results["command"] = "loopbank study --set 'a=\"<b>\"'";
  results["title"] = "{{data}}<u>";
  const auto page = make_report(study_result_from_json(results)).html;
  for (const char* tag : {"<i>\"x", "Iso<b>", "<u>", "</pre><script>", "\"<b>\""}) {
    EXPECT_EQ(count_of(page, tag), 0U) << tag;
  }
  EXPECT_EQ(count_of(page, "</script>"), 3U);
  constexpr std::string_view kOpen = "<script type=\"application/json\" id=\"data\">";
  const auto begin = page.find(kOpen) + kOpen.size();
  const auto data = Json::parse(page.substr(begin, page.find("</script>", begin) - begin));
  EXPECT_EQ(data["title"], "{{data}}<u>");
  EXPECT_EQ(row_of(data, "Iso<b>Par</b></script>")["color"], "dense-0");
}

TEST(MakeReport, NothingIsFetchedAndNoTextEntersAsMarkup) {
  for (const auto text : {kPageHtml, kPageJs, kPageCss}) {
    const std::string file(text);
    for (const char* loader : {"src=", "url(", "@import", "https:", "<link", "href=\"/", "fetch(",
                               "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"}) {
      EXPECT_EQ(count_of(file, loader), 0U) << loader;
    }
  }
  expect_contains(std::string(kHeadHtml), "content=\"default-src 'none';");
}

TEST(PageFiles, AreTheFilesOfTheSources) {
  const auto in = [](const std::string& folder, const char* name) {
    return read_file(std::filesystem::path(LOOPBANK_SOURCE_DIR) / "loopbank" / folder / name);
  };
  const auto file = [&](const char* name) { return in("study/page", name); };
  const auto dom = in("serve/page", "element.js") + file("dom.js");
  EXPECT_EQ(kPageHtml, file("page.html"));
  EXPECT_EQ(kPageCss, in("serve/page", "palette.css") + file("page.css"));
  EXPECT_EQ(kPageJs, dom + file("tables.js") + file("charts.js") + file("figure_view.js") +
                         file("tokens.js") + file("page.js"));
  EXPECT_EQ(kExitHtml, file("exit.html"));
  EXPECT_EQ(kExitJs, dom + file("charts.js") + file("figure_view.js") + file("exit.js"));
  EXPECT_NE(kChartJs.find("Chart.js v3"), std::string_view::npos);
  EXPECT_NE(kChartJs.find("MIT License"), std::string_view::npos);
}

}  // namespace
}  // namespace loopbank
