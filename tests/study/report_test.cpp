#include "loopbank/study/report.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "../support/test_directory.h"

namespace loopbank {
namespace {

using testing::expect_contains;

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

StudyResult two_systems() {
  SystemResult dense;
  dense.name = "isopar";
  dense.label = "IsoPar <&>";
  dense.facts_accuracy = 0.412;
  dense.errors.facts_accuracy = 0.031;
  dense.paper = {0.477, 0.859, 2.163};
  SystemResult looped;
  looped.name = "loop3";
  looped.label = "Loop-3";
  looped.reasoning_bpb = 1.234;
  looped.paper = {0.501, 0.813, 1.687};
  looped.residuals = {0.5, -0.25};
  return {.scale = "demo",
          .seed = 7,
          .systems = {dense, looped},
          .command = "loopbank study --set 'a=\"<b>\"'",
          .settings = "[model]\nvocab_size = 280 # <x>",
          .data = "{\"recipe\": \"</pre><script>\"}",
          .threads = 2};
}

TEST(EscapeHtml, EveryCharacterThatMeansSomething) {
  EXPECT_EQ(escape_html("<a href=\"x\">'&amp;"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;amp;");
  EXPECT_EQ(escape_html(""), "");
}

TEST(MakeReport, MeasuredAndPaperScoresStandInOneRow) {
  const auto page = make_report(two_systems());
  const auto begin = page.find("<td>Loop-3</td>");
  ASSERT_NE(begin, std::string::npos);
  const auto row = page.substr(begin, page.find("</tr>", begin) - begin);
  expect_contains(row, "1.234");
  expect_contains(row, "1.687");
  expect_contains(page, "0.412<span class=\"error\">&plusmn; 0.031</span>");
  expect_contains(page, "+50.0 % parameters, -25.0 % FLOPs");
}

TEST(MakeReport, TextsOfUsersCannotBecomeMarkup) {
  const auto page = make_report(two_systems());
  EXPECT_EQ(count_of(page, "<script"), 0U);
  EXPECT_EQ(count_of(page, "IsoPar <"), 0U);
  expect_contains(page, "IsoPar &lt;&amp;&gt;");
  expect_contains(page, "--set &#39;a=&quot;&lt;b&gt;&quot;&#39;");
  expect_contains(page, "vocab_size = 280 # &lt;x&gt;");
}

TEST(MakeReport, NothingIsFetchedAndEveryElementIsClosed) {
  const auto page = make_report(two_systems());
  for (const char* loader : {"src=", "href=", "url(", "@import", "http:", "https:", "<link"}) {
    EXPECT_EQ(count_of(page, loader), 0U) << loader;
  }
  for (const char* name : {"table", "tbody", "tr", "td", "th", "pre", "details", "ul", "li", "p",
                           "span", "style", "body", "html"}) {
    const auto opened =
        count_of(page, fmt::format("<{}>", name)) + count_of(page, fmt::format("<{} ", name));
    EXPECT_EQ(opened, count_of(page, fmt::format("</{}>", name))) << name;
  }
  expect_contains(page, "name=\"viewport\"");
}

TEST(MakeReport, EveryCellNamesItsColumnForNarrowScreens) {
  const auto page = make_report(two_systems());
  EXPECT_EQ(count_of(page, "data-name="),
            2 * (count_of(page, "<th") - count_of(page, "<thead") - 1));
}

TEST(MakeReport, SaysWhatDidNotComeOut) {
  expect_contains(make_report(two_systems()), "NOT as in the paper");
}

TEST(MakeReport, BeforeTheFirstSystemThereIsAPageToo) {
  auto result = two_systems();
  result.systems.clear();
  expect_contains(make_report(result), "No system is done yet.");
}

}  // namespace
}  // namespace loopbank
