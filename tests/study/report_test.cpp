#include "loopbank/study/report.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "../support/occurrences.h"
#include "../support/test_directory.h"
#include "loopbank/study/figures.h"
#include "loopbank/study/page_files.h"
#include "loopbank/support/files.h"
#include "report_sample.h"

namespace loopbank {
namespace {

using testing::count_of;
using testing::expect_contains;
using testing::full_results;
using testing::poor_results;

/// The page without its styles and scripts.
std::string markup_of(const Json& results) {
  auto page = make_report(results);
  for (const char* name : {"style", "script"}) {
    const auto close = fmt::format("</{}>", name);
    for (auto at = page.find(fmt::format("<{}", name)); at != std::string::npos;
         at = page.find(fmt::format("<{}", name), at)) {
      page.erase(at, page.find(close, at) + close.size() - at);
    }
  }
  return page;
}

std::string row_of(const std::string& page, const std::string& label) {
  const auto begin = page.find("</i>" + label + "<small>");
  EXPECT_NE(begin, std::string::npos) << label;
  return page.substr(begin, page.find("</tr>", begin) - begin);
}

TEST(MakeReport, ScoresSpreadsMarksAndThePapersStandInOneRow) {
  auto results = full_results();
  auto& loop3 = results["parts"][0]["systems"][1];
  loop3["scores"]["reasoning_bpb"]["mean"] = 1.234;
  loop3["scores"]["reasoning_bpb"]["spread"] = 0.017;
  loop3["against"]["isopar"]["reasoning_bpb"] = {
      {"difference", -0.8}, {"low", -0.9}, {"high", -0.7}, {"p", 0.0001}};
  const auto row = row_of(make_report(results), "Loop-3");
  expect_contains(row, "1.234");
  expect_contains(row, "&plusmn;&nbsp;0.017");
  expect_contains(row,
                  "better than IsoPar: &minus;0.800 (95&nbsp;% interval &minus;0.900 to "
                  "&minus;0.700), p &lt; 0.001\">P&#9651;");
  expect_contains(row, "1.687");
  expect_contains(row, "4 layers, 3 loops");
}

TEST(MakeReport, AMarkIsFilledWhereTheSeedsAgreeAndAbsentWhereZeroIsInside) {
  auto results = full_results();
  auto& against = results["parts"][0]["systems"][1]["against"];
  against.erase("isoflop");
  against["isopar"] = {{"facts_bpb",
                        {{"difference", 0.2},
                         {"low", 0.1},
                         {"high", 0.3},
                         {"seeds", {{"low", 0.05}, {"high", 0.35}}}}},
                       {"reasoning_bpb", {{"difference", 0.0}, {"low", -0.1}, {"high", 0.1}}}};
  const auto row = row_of(make_report(results), "Loop-3");
  EXPECT_EQ(count_of(row, "<abbr"), 1U);
  expect_contains(row, "P&#9660;");  // BPB rose: worse, and over the seeds too
}

TEST(MakeReport, GroupsHaveHeadings) {
  const auto page = markup_of(full_results());
  EXPECT_LT(page.find("The paper's systems"), page.find("Loops and memory slots</th>"));
  EXPECT_LT(page.find("Loops and memory slots</th>"), page.find("Ponder weights"));
  EXPECT_EQ(count_of(page, "Further systems"), 0U);
}

TEST(MakeReport, SectionsStandInTheirOrder) {
  const auto page = markup_of(full_results());
  size_t last = 0;
  for (const char* id : {"table", "findings", "question-1", "question-2", "question-3",
                         "question-4", "tokens", "making"}) {
    const auto at = page.find(fmt::format("<section id=\"{}\"", id));
    ASSERT_NE(at, std::string::npos) << id;
    EXPECT_GT(at, last) << id;
    last = at;
  }
}

TEST(MakeReport, DisagreementIsSaidPlainly) {
  auto results = full_results();
  expect_contains(markup_of(results), "These did not come out here:");
  for (auto& part : results["parts"]) {
    for (auto& claim : part["claims"]) {
      claim["verdict"] = "as in the paper";
    }
  }
  const auto page = markup_of(results);
  EXPECT_EQ(count_of(page, "These did not come out here:"), 0U);
  expect_contains(page, "Of 5 findings of the paper <b>5 came out</b> here, <b>0 did not</b>");
}

TEST(MakeReport, TextsOfUsersCannotBecomeMarkup) {
  auto results = full_results();
  auto& part = results["parts"][0];
  part["systems"][0]["label"] = "Iso<b>Par</b></script>";
  part["title"] = "<i>\"x\"</i>";
  part["settings"] = "</pre><script>";
  results["command"] = "loopbank study --set 'a=\"<b>\"'";
  results["title"] = "{{data}}<u>";
  const auto page = make_report(results);
  for (const char* tag : {"<i>\"x", "Iso<b>", "<u>", "</pre><script>", "\"<b>\""}) {
    EXPECT_EQ(count_of(page, tag), 0U) << tag;
  }
  EXPECT_EQ(count_of(page, "</script>"), 3U);
  expect_contains(page, "Iso&lt;b&gt;Par&lt;/b&gt;&lt;/script&gt;");
  expect_contains(page, "<h1>{{data}}&lt;u&gt;</h1>");
}

TEST(MakeReport, NothingIsFetchedAndEveryElementIsClosed) {
  const auto page = markup_of(full_results());
  for (const char* loader : {"src=", "url(", "@import", "http:", "https:", "<link", "href=\"/"}) {
    EXPECT_EQ(count_of(page, loader), 0U) << loader;
  }
  expect_contains(page, "content=\"default-src 'none';");
  for (const char* name : {"table", "tbody", "tr",  "td",   "th",      "pre",    "details",
                           "ul",    "li",    "p",   "span", "section", "figure", "figcaption",
                           "abbr",  "small", "div", "body", "html",    "nav",    "a"}) {
    const auto opened =
        count_of(page, fmt::format("<{}>", name)) + count_of(page, fmt::format("<{} ", name));
    EXPECT_EQ(opened, count_of(page, fmt::format("</{}>", name))) << name;
  }
}

TEST(MakeReport, EveryFigureHasItsPlaceItsCaptionAndItsFile) {
  const auto results = full_results();
  const auto page = markup_of(results);
  for (const auto& part : results["parts"]) {
    for (const auto& figure : make_figures(part)) {
      const auto id = part["name"].get<std::string>() + "-" + figure.id;
      EXPECT_EQ(count_of(page, fmt::format("<figure id=\"{}\"", id)), 1U) << id;
      EXPECT_EQ(count_of(page, fmt::format("href=\"csv/{}.csv\"", id)), 1U) << id;
      EXPECT_NE(figure.caption, "") << id;
      EXPECT_NE(figure.x_title, "") << id;
      EXPECT_NE(figure.y_title, "") << id;
    }
  }
}

TEST(MakeReport, APartAloneNeedsNoHeadingOfItsOwn) {
  auto results = full_results();
  expect_contains(markup_of(results), "<h3>Embedded benchmark</h3>");
  results["parts"].erase(1);
  EXPECT_EQ(count_of(markup_of(results), "<h3>"), 0U);
}

TEST(MakeReport, WhatIsMissingIsSaid) {
  const auto page = markup_of(poor_results());
  expect_contains(page, "This study is not finished");
  expect_contains(page, "2 transformers, trained from 1 seed for 2,000 steps (4.1 M tokens)");
  EXPECT_EQ(count_of(page, "<b>Not measured.</b>"), 4U);
  expect_contains(page, "standard error over the questions of one seed");
}

TEST(MakeReport, BeforeTheFirstSystemThereIsAPageToo) {
  expect_contains(markup_of(Json::object()), "No system is done yet.");
  expect_contains(markup_of({{"parts", {{{"name", "benchmark"}}}}}), "No system is done yet.");
}

TEST(PageFiles, AreTheFilesOfTheSources) {
  const auto file = [](const char* name) {
    return read_file(std::filesystem::path(LOOPBANK_SOURCE_DIR) / "loopbank/study/page" / name);
  };
  EXPECT_EQ(kPageHtml, file("page.html"));
  EXPECT_EQ(kPageCss, file("page.css"));
  EXPECT_EQ(kPageJs, file("charts.js") + file("tokens.js") + file("page.js"));
  EXPECT_NE(kChartJs.find("Chart.js v3"), std::string_view::npos);
  EXPECT_NE(kChartJs.find("MIT License"), std::string_view::npos);
}

}  // namespace
}  // namespace loopbank
