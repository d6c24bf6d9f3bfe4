#include "loopbank/study/figure_svg.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>
#include <vector>

#include "../support/test_directory.h"
#include "loopbank/study/figure_files.h"
#include "loopbank/study/figure_svg_axis.h"
#include "loopbank/study/figure_svg_text.h"
#include "loopbank/study/figures_soft_hard.h"
#include "report_sample.h"

namespace loopbank {
namespace {

using testing::expect_contains;

size_t occurrences(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

Figure small_figure(FigureKind kind) {
  return {.id = "f",
          .section = "loops",
          .title = "A <title> & more",
          .caption = "What is shown.",
          .x_title = "layer",
          .y_title = "loops",
          .kind = kind,
          .series = {{.label = "one", .color = "loops-0", .x = {1, 2, 3}, .y = {1, 2, 4}},
                     {.label = "two", .color = "memory-1", .x = {1, 2, 3}, .y = {2, 2, 2}}},
          .conclusion = "Nothing & all."};
}

/// Every element that is opened is closed, in order.
void expect_well_formed(const std::string& svg, const std::string& name) {
  std::vector<std::string> open;
  const std::regex tag(R"(<(/?)([a-zA-Z]+)[^<>]*?(/?)>)");
  for (std::sregex_iterator it(svg.begin(), svg.end(), tag), end; it != end; ++it) {
    if ((*it)[3].length() > 0) {
      continue;
    }
    if ((*it)[1].length() == 0) {
      open.push_back((*it)[2]);
    } else {
      ASSERT_FALSE(open.empty()) << name << " " << it->str();
      ASSERT_EQ(open.back(), (*it)[2]) << name;
      open.pop_back();
    }
  }
  EXPECT_TRUE(open.empty()) << name;
  for (const char* word : {"nan", "inf", "<script", "href"}) {
    EXPECT_EQ(svg.find(fmt::format("\"{}", word)), std::string::npos) << name << " " << word;
  }
}

TEST(FigureSvg, SaysWhatItShowsAndWhatMayBeConcluded) {
  const auto svg = figure_svg(small_figure(FigureKind::kLines));
  expect_contains(svg, "<title>A &lt;title&gt; &amp; more</title>");
  expect_contains(svg, "<desc>What is shown. Nothing &amp; all.</desc>");
  expect_contains(svg, ">Nothing &amp; all.</text>");
  expect_contains(svg, "width=\"860\"");
  expect_well_formed(svg, "lines");
}

TEST(FigureSvg, EveryFigureOfAStudyIsDrawn) {
  const auto results = study_result_from_json(testing::full_results());
  const auto files = figure_files({{"runs", results}});
  size_t pictures = 0;
  for (const auto& [name, text] : files) {
    if (name.ends_with(".svg")) {
      ++pictures;
      expect_well_formed(text, name);
      EXPECT_TRUE(files.contains(name.substr(0, name.size() - 4) + ".csv")) << name;
    }
  }
  EXPECT_GT(pictures, 50U);
  EXPECT_TRUE(files.contains("benchmark-conclusions.csv"));
}

TEST(FigureSvg, MarksStandWhereTheirValuesAre) {
  auto figure = small_figure(FigureKind::kLines);
  figure.series.pop_back();
  const auto svg = figure_svg(figure);
  const std::regex circle(R"x(<circle cx="([\d.]+)" cy="([\d.]+)")x");
  std::vector<std::pair<double, double>> marks;
  for (std::sregex_iterator it(svg.begin(), svg.end(), circle), end; it != end; ++it) {
    marks.emplace_back(std::stod((*it)[1]), std::stod((*it)[2]));
  }
  ASSERT_EQ(marks.size(), 3U);
  EXPECT_NEAR(marks[1].first - marks[0].first, marks[2].first - marks[1].first, 0.11);
  // 1 to 2 is half as high as 2 to 4.
  EXPECT_NEAR(2 * (marks[0].second - marks[1].second), marks[1].second - marks[2].second, 0.31);
}

TEST(FigureSvg, IntervalsAreBandsOfCurvesAndBarsOfPoints) {
  auto figure = small_figure(FigureKind::kLines);
  figure.series[0].low = {0, 1, 3};
  figure.series[0].high = {2, 3, 5};
  EXPECT_EQ(occurrences(figure_svg(figure), "fill-opacity=\"0.13\""), 1U);
  figure.series[0].low[1] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(occurrences(figure_svg(figure), "fill-opacity=\"0.13\""), 0U);  // no two neighbours
  figure.kind = FigureKind::kPoints;
  EXPECT_EQ(occurrences(figure_svg(figure), "stroke-width=\"1.25\""), 6U);  // two bars, their ends
}

TEST(FigureSvg, WhatAPageStartsWithoutIsNamed) {
  auto figure = small_figure(FigureKind::kLines);
  figure.series[1].hidden = true;
  const auto svg = figure_svg(figure);
  EXPECT_EQ(svg.find("<title>two:"), std::string::npos);
  expect_contains(svg, "In the CSV alone: two.");
  figure.series[0].hidden = true;  // none is left: all are drawn
  expect_contains(figure_svg(figure), "<title>two:");
}

TEST(FigureSvg, HollowMarksAreNotFilled) {
  auto figure = small_figure(FigureKind::kDots);
  figure.x_names = {"a", "b", "c", "d"};
  EXPECT_EQ(occurrences(figure_svg(figure), "fill=\"#ffffff\" stroke="), 0U);
  figure.series[0].hollow = true;
  EXPECT_EQ(occurrences(figure_svg(figure), "fill=\"#ffffff\" stroke="), 3U);
}

TEST(FigureSvg, ValuesThatAreNoNumbersLeaveNoMark) {
  auto figure = small_figure(FigureKind::kLines);
  figure.series[0].y[1] = std::nan("");
  expect_well_formed(figure_svg(figure), "lines");
  figure.x_log = true;
  figure.series[0].x[0] = 0;  // has no logarithm
  const auto svg = figure_svg(figure);
  expect_well_formed(svg, "log");
  EXPECT_EQ(occurrences(svg, "<title>one:"), 1U);
}

TEST(FigureFiles, OnlyWhatIsAskedForAndNothingUnknown) {
  const auto results = study_result_from_json(testing::full_results());
  const auto files = figure_files({{"runs", results}}, {"gain-by-tokens", "text-grid"});
  std::vector<std::string> names;
  for (const auto& [name, text] : files) {
    names.push_back(name);
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"benchmark-conclusions.csv", "benchmark-gain-by-tokens.csv",
                                      "benchmark-gain-by-tokens.svg", "text-conclusions.csv",
                                      "text-gain-by-tokens.csv", "text-gain-by-tokens.svg",
                                      "text-grid.csv", "text-grid.svg"}));
  try {
    (void)figure_files({{"runs", results}}, {"gain-by-token"});
    FAIL();
  } catch (const std::exception& error) {
    expect_contains(error.what(), "got \"gain-by-token\". Did you mean \"gain-by-tokens\"?");
  }
}

TEST(FigureFiles, PartsOfOneNameAreToldApartByTheirStudies) {
  const auto results = study_result_from_json(testing::full_results());
  const auto files = figure_files({{"a", results}, {"b", results}}, {"grid"});
  for (const char* name : {"a-benchmark-grid.svg", "b-benchmark-grid.svg", "b-text-grid.csv"}) {
    EXPECT_TRUE(files.contains(name)) << name;
  }
}

TEST(SoftHardFigure, PairsStandByPlaceWithTheirInterval) {
  const auto json = nlohmann::ordered_json::parse(R"({"models": 3, "comparisons": [
      {"question": "gate", "where": "decode", "kv": "full", "a": "x",
       "bpb_difference": {"difference": 9, "low": 8, "high": 10, "p": 0.1}, "bpb_over_seeds": null},
      {"question": "hard", "where": "decode", "kv": "full", "a": "cdf:0.9",
       "bpb_difference": {"difference": 0.02, "low": 0.01, "high": 0.03, "p": 0.1},
       "bpb_over_seeds": {"difference": 0.02, "low": 0.015, "high": 0.025, "p": 0.1}},
      {"question": "hard", "where": "scoring", "kv": "full", "a": "cdf:0.9",
       "bpb_difference": {"difference": 0.02, "low": -0.01, "high": 0.05, "p": 0.1},
       "bpb_over_seeds": null}]})");
  const auto figure = soft_hard_figure(json, "results.json");
  ASSERT_TRUE(figure);
  ASSERT_EQ(figure->series.size(), 2U);
  EXPECT_EQ(figure->series[0].panel, "decode, keys full");
  EXPECT_EQ(figure->series[0].low, std::vector<double>{0.015});
  EXPECT_FALSE(figure->series[0].hollow);
  EXPECT_TRUE(figure->series[1].hollow);
  expect_contains(figure->conclusion,
                  "Over 3 models, of 2 pairs leaving hard costs bits per byte "
                  "in 1 and saves some in 0");
  const auto files = figure_files({{.name = "bench", .others = {*figure}}});
  EXPECT_TRUE(files.contains("bench-soft-hard.svg"));
  EXPECT_FALSE(soft_hard_figure(nlohmann::ordered_json::object(), "results.json"));
}

TEST(SvgAxis, TicksAreRoundAndWithinTheAxis) {
  const auto axis = make_svg_axis(-0.139, 0.031, {.start = 100, .end = 500});
  EXPECT_DOUBLE_EQ(axis.at(axis.from), 100);
  EXPECT_DOUBLE_EQ(axis.at(axis.to), 500);
  std::vector<std::string> texts;
  for (const double tick : axis.ticks) {
    EXPECT_GE(tick, axis.from);
    EXPECT_LE(tick, axis.to);
    texts.push_back(svg_number(tick));
  }
  EXPECT_EQ(texts, (std::vector<std::string>{"\u22120.1", "\u22120.05", "0"}));
}

TEST(SvgAxis, EndsThatDifferByRoundingAreEqual) {
  for (const double value : {4.096e6, 1e15, 1.25, -3e8}) {
    const double next = std::nextafter(value, std::numeric_limits<double>::infinity());
    for (const bool log : {false, true}) {
      if (log && value < 0) {
        continue;
      }
      const auto axis = make_svg_axis(value, next, {.start = 0, .end = 100, .log = log});
      EXPECT_GT(axis.to - axis.from, 0.1 * std::abs(value)) << value;
      EXPECT_LT(axis.ticks.size(), 20U) << value;
    }
  }
}

TEST(SvgAxis, EqualFactorsOfALogarithmicAxisAreEquallyFar) {
  const auto axis = make_svg_axis(1e4, 1e7, {.start = 0, .end = 300, .log = true});
  EXPECT_NEAR(axis.at(1e6) - axis.at(1e5), axis.at(1e7) - axis.at(1e6), 1e-9);
  EXPECT_EQ(axis.ticks, (std::vector<double>{1e4, 1e5, 1e6, 1e7}));
}

TEST(SvgAxis, FallingAndCountedAxes) {
  const auto falls = make_svg_axis(1, 3, {.start = 0, .end = 100, .falls = true});
  EXPECT_GT(falls.at(1), falls.at(3));
  const auto counts =
      make_svg_axis(1, 4, {.start = 0, .end = 100, .counts = true, .most_ticks = 16});
  EXPECT_EQ(counts.ticks, (std::vector<double>{1, 2, 3, 4}));
  const auto single = make_svg_axis(2, 2, {.start = 0, .end = 100});
  EXPECT_DOUBLE_EQ(single.at(2), 50);
}

TEST(SvgNumber, ReadsAsPeopleWriteIt) {
  EXPECT_EQ(svg_number(0.25), "0.25");
  EXPECT_EQ(svg_number(-3), "\u22123");
  EXPECT_EQ(svg_number(1200), "1200");
  EXPECT_EQ(svg_number(12000), "12 k");
  EXPECT_EQ(svg_number(1.5e6), "1.5 M");
  EXPECT_EQ(svg_number(-1e-20), "\u22121e-20");
  EXPECT_EQ(svg_number(std::nan("")), "");
}

TEST(SvgText, LinesKeepToTheirWidthAndColorsAreThoseOfThePage) {
  const std::string words = "a few words that are broken at their blanks and nowhere else";
  std::string again;
  for (const auto& line : svg_wrapped(words, 120, 12)) {
    EXPECT_LE(svg_text_width(line, 12), 120);
    again += (again.empty() ? "" : " ") + line;
  }
  EXPECT_EQ(again, words);
  EXPECT_LE(svg_text_width(svg_cut(words, 100, 12), 12), 112);
  EXPECT_EQ(svg_color("loops-0"), "#0a4f8f");
  EXPECT_EQ(svg_color("ramp:0"), "#93c9b0");
  EXPECT_EQ(svg_color("ramp:1"), "#0c4650");
  EXPECT_EQ(svg_color("no-such"), kSvgQuiet);
}

}  // namespace
}  // namespace loopbank
