#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "../support/test_directory.h"
#include "loopbank/study/answers.h"
#include "loopbank/study/figures.h"
#include "report_sample.h"

namespace loopbank {
namespace {

using testing::expect_contains;
using Json = nlohmann::ordered_json;

/// The benchmark's part with Loop-3 and Loop-5 alone.
Json two_systems() {
  auto part = testing::benchmark_part();
  part["exits"] = {{"loop3", testing::sample_exits(3)}, {"loop5", testing::sample_exits(3)}};
  return part;
}

/// Sets what a rule loses when text is scored, with an interval of +- half.
void set_rise(Json& exits, const std::string& name, double rise, double half) {
  for (auto& result : exits["results"]) {
    if (result["name"] == name && result["where"] == "scoring") {
      const double difference = 0.8 * rise;
      result["bpb"] = 0.8 + difference;
      result["bpb_difference"]["seeds"] =
          result["bpb_difference"] = {{"difference", difference},
                                      {"low", difference - half},
                                      {"high", difference + half},
                                      {"p", std::abs(difference) > half ? 0.001 : 0.4}};
    }
  }
}

Answer fifth(const Json& part) {
  return answer_questions(testing::typed(part)).at(4);
}

TEST(AnswerExits, FollowsTheNumbers) {
  auto part = two_systems();
  auto& loop3 = part["exits"]["loop3"];
  auto& loop5 = part["exits"]["loop5"];
  // cdf 3/4 loses 0.05 +- 0.0375 %: clearly within 0.1 %.
  auto answer = fifth(part);
  EXPECT_EQ(answer.tone, Tone::kYes);
  EXPECT_EQ(answer.headline, "Up to 21 % of the FLOPs and 19 % of the time at equal perplexity");
  expect_contains(answer.text,
                  "At equal perplexity (BPB up by 0.1 % at most), 2 of 2 systems skip loops, "
                  "clearly. Loop-3 saves most, by cdf 3/4: 21.0 +- 2.5 % of the FLOPs and "
                  "19.0 +- 2.5 % of the time, BPB +0.05 % (95 % interval over seeds +0.01 to "
                  "+0.09 %).");
  expect_contains(answer.text, "Within half a percent, 2 of 2 systems skip loops, clearly.");
  expect_contains(answer.text,
                  "Decoding token by token, that rule saves 21.0 +- 2.5 % of the time.");
  set_rise(loop5, "cdf 3/4", 5e-4, 0.001);  // not clearly
  answer = fifth(part);
  EXPECT_EQ(answer.tone, Tone::kPartly);
  expect_contains(answer.text, "2 of 2 systems skip loops, 1 clearly");
  set_rise(loop3, "cdf 3/4", 5e-4, 0.001);
  for (auto* exits : {&loop3, &loop5}) {
    set_rise(*exits, "budget 2", 0.0, 0.001);
  }
  EXPECT_EQ(fifth(part).tone, Tone::kOpen);
  EXPECT_EQ(fifth(part).headline, "Not told apart");
  for (auto* exits : {&loop3, &loop5}) {
    set_rise(*exits, "cdf 3/4", 0.003, 1e-4);
    set_rise(*exits, "budget 2", 0.002, 1e-4);
  }
  answer = fifth(part);
  EXPECT_EQ(answer.tone, Tone::kNo);
  EXPECT_EQ(answer.headline, "Nothing at equal perplexity");
  expect_contains(answer.text, "no rule that was tried skips a loop in any of 2 systems.");
}

TEST(AnswerExits, TimeThatSeedsDoNotAgreeOnIsNoFinding) {
  auto part = two_systems();
  for (const char* name : {"loop3", "loop5"}) {
    for (auto& result : part["exits"][name]["results"]) {
      if (result["kv"] == "full" && result["name"] != "all") {
        result["time_saved_share_by_seed"] = {-0.2, 0.1, 0.3};
      }
    }
  }
  EXPECT_EQ(fifth(part).tone, Tone::kOpen);
}

TEST(AnswerExits, OneSeedIsNoFinding) {
  auto part = two_systems();
  part["seeds"] = {1};
  part["exits"]["loop3"] = testing::sample_exits(1);
  part["exits"]["loop5"] = testing::sample_exits(1);
  const auto answer = fifth(part);
  EXPECT_EQ(answer.tone, Tone::kOpen);
  EXPECT_EQ(answer.headline, "One seed is too little to tell");
  expect_contains(answer.text, "95 % interval over rows of text");
  expect_contains(answer.text, "by cdf:0: 20.0 % of the FLOPs");
  expect_contains(answer.more, "One seed was trained");
}

TEST(AnswerExits, RestsOnSystemsOfSeveralSeedsWhereThereAreSome) {
  auto part = two_systems();
  part["exits"]["loop5"] = testing::sample_exits(1);
  EXPECT_EQ(fifth(part).tone, Tone::kYes);
  expect_contains(fifth(part).text, "Loop-3 skips loops clearly, by cdf 3/4");
}

TEST(AnswerExits, QuestionsGateAndKeysAreTold) {
  auto part = two_systems();
  auto answer = fifth(part);
  expect_contains(answer.more,
                  "the systems do clearly worse in 4 of 4 scores; Loop-3: facts BPB "
                  "0.804 against 0.800, +0.5 %");
  expect_contains(answer.more,
                  "is clearly better than the rule that needs none (change) in 4 of 4 "
                  "comparisons and clearly worse in 0");
  expect_contains(answer.more,
                  "BPB moves by +0.40 % with keys and values made late (full), +0.50 % "
                  "with copy, +2.40 % with first.");
  for (auto& gate : part["exits"]["loop5"]["gate"]) {
    gate["bpb_difference"]["seeds"] = {
        {"difference", 0.003}, {"low", -0.001}, {"high", 0.007}, {"p", 0.1}};
  }
  expect_contains(fifth(part).more, "in 2 of 4 comparisons and clearly worse in 0");
}

TEST(AnswerExits, WhatWasNotMeasuredIsSaid) {
  auto part = testing::benchmark_part();
  part.erase("exits");
  const auto answer = fifth(part);
  EXPECT_EQ(answer.tone, Tone::kUnmeasured);
  EXPECT_EQ(answer.headline, "Not measured");
  for (const auto& figure : make_figures(shown_part(testing::typed(part)))) {
    EXPECT_NE(figure.section, "exits") << figure.id;
  }
}

TEST(ExitFigures, ShowWhatWasMeasured) {
  const auto part = testing::typed(two_systems());
  std::vector<std::string> ids;
  for (const auto& figure : early_exit_figures(shown_part(part))) {
    ids.push_back(figure.id);
    if (figure.id == "exits-flops") {
      ASSERT_EQ(figure.series.size(), 6U);  // three rules of two systems
      const auto& cdf = figure.series[1];
      EXPECT_EQ(cdf.label, "cdf");
      EXPECT_EQ(cdf.panel, "Loop-3");
      ASSERT_EQ(cdf.x.size(), 4U);
      EXPECT_EQ(cdf.x[0], 0.0);  // from all loops on
      EXPECT_NEAR(cdf.x[2], 41.0, 1e-9);
      EXPECT_NEAR(cdf.y[2], 0.4, 1e-9);
      EXPECT_NEAR(cdf.error[2], 100 * 0.0003 / 0.8, 1e-9);
      EXPECT_EQ(cdf.notes[2], "cdf 1/2");
    }
  }
  EXPECT_EQ(ids,
            (std::vector<std::string>{"exits-saved", "exits-flops", "exits-time", "exits-keys"}));
}

}  // namespace
}  // namespace loopbank
