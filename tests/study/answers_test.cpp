#include "loopbank/study/answers.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

#include "../support/test_directory.h"
#include "report_sample.h"

namespace loopbank {
namespace {

using testing::benchmark_part;
using testing::expect_contains;
using Json = nlohmann::ordered_json;

Json& system_named(Json& part, const std::string& name) {
  for (auto& system : part["systems"]) {
    if (system["name"] == name) {
      return system;
    }
  }
  throw std::runtime_error("no system " + name);
}

/// A difference with an interval of +- 0.02, over questions and over seeds.
Json sure(double difference) {
  Json json = {{"difference", difference},
               {"low", difference - 0.02},
               {"high", difference + 0.02},
               {"p", std::abs(difference) > 0.02 ? 1e-4 : 0.4}};
  json["seeds"] = json;
  return json;
}

/// Sets a system's score and its difference from IsoPar.
void set_score(Json& part, const std::string& name, const std::string& column, double mean,
               double difference) {
  auto& system = system_named(part, name);
  system["scores"][column]["mean"] = mean;
  system["against"]["isopar"][column] = sure(difference);
}

void set_loops(Json& part, double mean, double difference) {
  for (const char* name : {"loop3", "loop5", "loop7"}) {
    set_score(part, name, "reasoning_bpb", mean, difference);
  }
}

Answer answer(const Json& part, int question) {
  return answer_questions(testing::typed(part)).at(static_cast<size_t>(question - 1));
}

TEST(AnswerLoops, FollowsTheNumbers) {
  auto part = benchmark_part();
  part["systems"][0]["scores"]["reasoning_bpb"]["mean"] = 2.0;
  set_loops(part, 1.5, -0.5);
  EXPECT_EQ(answer(part, 1).headline, "Yes");
  EXPECT_EQ(answer(part, 1).tone, Tone::kYes);
  expect_contains(answer(part, 1).text, "All 3 looped systems");
  expect_contains(answer(part, 1).text, "1.500 against 2.000, -25.0 %");
  set_score(part, "loop5", "reasoning_bpb", 1.99, -0.01);
  EXPECT_EQ(answer(part, 1).headline, "Partly");
  expect_contains(answer(part, 1).text, "2 of 3 looped systems");
  set_loops(part, 1.99, -0.01);
  EXPECT_EQ(answer(part, 1).headline, "Not told apart");
  set_loops(part, 2.5, 0.5);
  EXPECT_EQ(answer(part, 1).headline, "No");
  expect_contains(answer(part, 1).text, "3 are clearly worse");
}

TEST(AnswerLoops, EqualFlopsAreThoseOfTheMatchedSystem) {
  auto part = benchmark_part();
  expect_contains(answer(part, 1).more, "At equal FLOPs a token, Loop-3 against IsoFLOP is better");
  system_named(part, "loop3")["flops_per_token"] =
      2 * system_named(part, "isoflop")["flops_per_token"].get<double>();
  expect_contains(answer(part, 1).more, "At 2.00 times the FLOPs a token, Loop-3 against IsoFLOP");
}

TEST(AnswerLoops, DoubtOfTheSeedsIsSaid) {
  auto part = benchmark_part();
  set_loops(part, 1.5, -0.5);
  for (const char* name : {"loop3", "loop5", "loop7"}) {
    system_named(part, name)["against"]["isopar"]["reasoning_bpb"]["seeds"] = {{"low", -1.2},
                                                                               {"high", 0.2}};
  }
  expect_contains(answer(part, 1).more, "3 seeds are too few to tell");
  for (const char* name : {"loop3", "loop5", "loop7"}) {
    system_named(part, name)["against"]["isopar"]["reasoning_bpb"].erase("seeds");
  }
  part["seeds"] = system_named(part, "isopar")["seeds"] = {1};
  expect_contains(answer(part, 1).more, "One seed was trained");
}

TEST(AnswerLoops, OneCommonSeedOfSeveralIsSaid) {
  auto part = benchmark_part();
  EXPECT_EQ(answer(part, 1).more.find("common seed"), std::string::npos);
  set_loops(part, 1.5, -0.5);
  for (const char* name : {"loop3", "loop5", "loop7"}) {
    system_named(part, name)["against"]["isopar"]["reasoning_bpb"].erase("seeds");
  }
  system_named(part, "isopar")["seeds"] = {2};
  expect_contains(answer(part, 1).more, "These systems have one seed in common");
}

TEST(AnswerLoops, AFindingStandsWhereTheBestHasOneSeed) {
  auto part = benchmark_part();
  set_loops(part, 1.5, -0.5);
  set_score(part, "loop7", "reasoning_bpb", 1.4, -0.6);
  system_named(part, "loop7")["against"]["isopar"]["reasoning_bpb"].erase("seeds");
  system_named(part, "loop7")["seeds"] = {2};
  const auto found = answer(part, 1);
  EXPECT_EQ(found.tone, Tone::kPartly);
  expect_contains(found.text,
                  "2 of 3 looped systems have a clearly lower reasoning BPB than IsoPar");
  expect_contains(found.text, "; the best, Loop-7, has ");
  expect_contains(found.more, "These systems have one seed in common");
}

TEST(AnswerLoops, TooFewSeedsAreThoseOfBothSystems) {
  auto part = benchmark_part();
  set_loops(part, 1.5, -0.5);
  for (const char* name : {"loop3", "loop5", "loop7"}) {
    system_named(part, name)["against"]["isopar"]["reasoning_bpb"]["seeds"] = {{"low", -1.2},
                                                                               {"high", 0.2}};
  }
  system_named(part, "isopar")["seeds"] = {2, 3};
  expect_contains(answer(part, 1).more, "2 seeds are too few to tell");
}

TEST(AnswerLoops, WhatSeedsLeaveOpenIsNoYes) {
  auto part = benchmark_part();
  set_loops(part, 1.5, -0.5);
  EXPECT_EQ(answer(part, 1).headline, "Yes");
  for (const char* name : {"loop3", "loop5", "loop7"}) {
    system_named(part, name)["against"]["isopar"]["reasoning_bpb"]["seeds"] = {{"low", -1.2},
                                                                               {"high", 0.2}};
  }
  EXPECT_EQ(answer(part, 1).headline, "Not told apart");
}

TEST(AnswerLoops, ControlsAreComparedWithWhereThereAreSuch) {
  auto part = benchmark_part();
  EXPECT_EQ(answer(part, 1).more.find("learned scales"), std::string::npos);
  auto control = system_named(part, "isopar");
  control["name"] = "loop1";
  control["label"] = "Loop-1";
  part["systems"].push_back(control);
  for (const char* name : {"loop3", "loop5", "loop7"}) {
    system_named(part, name)["against"]["loop1"]["reasoning_bpb"] = sure(0.3);
  }
  const auto more = answer(part, 1).more;
  expect_contains(more, "With learned scales on both sides, ");
  expect_contains(more, " against Loop-1 is worse");
}

TEST(AnswerLoops, LoopsThatDoNothingAreNamed) {
  auto part = benchmark_part();
  EXPECT_EQ(answer(part, 1).more.find("they do nothing"), std::string::npos);
  for (const char* name : {"loop3", "loop5", "loop7"}) {
    for (auto& layer : part["inside"][name]["state_change"]) {
      for (size_t loop = 1; loop < layer.size(); ++loop) {
        layer[loop] = 2e-5;
      }
    }
  }
  expect_contains(answer(part, 1).more, "behind the first change the state by 2.0e-05 at most");
}

TEST(AnswerLoops, WithoutIsoParNothingIsSaid) {
  auto part = benchmark_part();
  part["systems"].erase(0);
  EXPECT_EQ(answer(part, 1).headline, "Not measured");
  EXPECT_EQ(answer(part, 1).tone, Tone::kUnmeasured);
}

TEST(AnswerMemory, FollowsTheNumbers) {
  auto part = benchmark_part();
  const auto set = [&](const std::string& name, double mean) {
    system_named(part, name)["scores"]["facts_bpb"]["mean"] = mean;
    const double base = system_named(part, "loop3")["scores"]["facts_bpb"]["mean"];
    if (name != "loop3") {
      system_named(part, name)["against"]["loop3"]["facts_bpb"] = sure(mean - base);
    }
  };
  set("loop3", 0.80);
  set("isoflop", 0.70);
  for (const char* name : {"mem-gm3", "mem-g0", "mem-g3"}) {
    set(name, 0.75);
  }
  EXPECT_EQ(answer(part, 2).headline, "Yes");
  expect_contains(answer(part, 2).text, "That is 50 % of the way to IsoFLOP (0.700).");
  for (const char* name : {"mem-gm3", "mem-g0", "mem-g3"}) {
    set(name, 0.85);
  }
  EXPECT_EQ(answer(part, 2).headline, "No");
  expect_contains(answer(part, 2).text, "Nothing of the gap");
  set("mem-g0", 0.75);
  EXPECT_EQ(answer(part, 2).headline, "Partly");
  expect_contains(answer(part, 2).text, "1 of 3 systems with memory has");
  set("isoflop", 0.80);
  expect_contains(answer(part, 2).text, "Loop-3 does not clearly lack knowledge");
}

TEST(AnswerTogether, FollowsTheCornersOfTheGrid) {
  auto part = benchmark_part();
  const auto set = [&](const std::string& name, double mean) {
    for (const char* column : {"reasoning_bpb", "facts_bpb"}) {
      system_named(part, name)["scores"][column]["mean"] = mean;
      system_named(part, name)["scores"][column]["by_seed"] = {mean - 0.01, mean, mean + 0.01};
    }
  };
  set("grid-1-0", 2.0);
  set("grid-1-256", 1.9);
  set("loop5", 1.8);
  set("grid-5-256", 1.5);
  EXPECT_EQ(answer(part, 3).headline, "Each makes the other worth more");
  expect_contains(answer(part, 3).text, "by -0.100 with 1 loop and by -0.300 with 5");
  set("grid-5-256", 1.79);
  EXPECT_EQ(answer(part, 3).headline, "Each takes from what the other adds");
  for (const char* column : {"reasoning_bpb", "facts_bpb"}) {
    system_named(part, "grid-5-256")["scores"][column]["by_seed"] = {1.5, 1.7, 2.17};
  }
  EXPECT_EQ(answer(part, 3).headline, "Not told apart");
  expect_contains(answer(part, 3).text, "no clear difference");
}

/// The corners of the grid with these scores by seed, in both columns.
Json with_corners(const std::vector<std::vector<double>>& by_seed, double error) {
  auto part = benchmark_part();
  const std::array<const char*, 4> names = {"grid-1-0", "grid-1-256", "loop5", "grid-5-256"};
  for (size_t i = 0; i < names.size(); ++i) {
    for (const char* column : {"reasoning_bpb", "facts_bpb"}) {
      auto& score = system_named(part, names.at(i))["scores"][column];
      score["by_seed"] = by_seed[i];
      score["mean"] = std::accumulate(by_seed[i].begin(), by_seed[i].end(), 0.0) /
                      static_cast<double>(by_seed[i].size());
      score["standard_error"] = error;
    }
  }
  return part;
}

TEST(AnswerTogether, SeedsThatAgreeByAccidentAreNotToldApart) {
  // -0.2 in every seed. The questions of three seeds tell it where an error of one is 0.08 and not
  // where it is 0.1: 1.96 * 2 * error / sqrt(3).
  const std::vector<std::vector<double>> by_seed = {
      {2.0, 2.0, 2.0}, {1.9, 1.9, 1.9}, {1.8, 1.8, 1.8}, {1.5, 1.5, 1.5}};
  EXPECT_EQ(answer(with_corners(by_seed, 0.08), 3).headline, "Each makes the other worth more");
  const auto open = answer(with_corners(by_seed, 0.1), 3);
  EXPECT_EQ(open.headline, "Not told apart");
  expect_contains(open.text, "95 % interval over seeds -0.426 to +0.026");
}

TEST(AnswerTogether, QuestionsThatAllSeedsShareAreNotAveragedAway) {
  const std::vector<std::vector<double>> by_seed = {
      {2.0, 2.0, 2.0}, {1.9, 1.9, 1.9}, {1.8, 1.8, 1.8}, {1.5, 1.5, 1.5}};
  auto part = with_corners(by_seed, 0.08);
  part["name"] = "text";
  // 1.96 * 2 * 0.08: without a root of 3.
  const auto open = answer(part, 3);
  EXPECT_EQ(open.headline, "Not told apart");
  expect_contains(open.text, "95 % interval over seeds -0.514 to +0.114");
}

TEST(AnswerTogether, ScoresAreThoseOfTheCommonSeeds) {
  auto part = with_corners({{2.0, 2.1, 2.2}, {1.9, 2.0, 2.1}, {1.8, 1.9, 2.0}, {1.5, 1.6}}, 0.001);
  system_named(part, "grid-5-256")["seeds"] = {2, 3};
  // Over the seeds 2 and 3: 1.5 - 1.9 and 1.6 - 2.0. Over each one's own it were 1.55 - 1.9.
  expect_contains(answer(part, 3).text, "by -0.100 with 1 loop and by -0.400 with 5");
  EXPECT_EQ(answer(part, 3).more, "");
}

TEST(AnswerTogether, FewerThanTwoCommonSeedsAreSaid) {
  auto part = with_corners({{2.0, 2.1, 2.2}, {1.9, 2.0, 2.1}, {1.8, 1.9, 2.0}, {1.6}}, 0.001);
  system_named(part, "grid-5-256")["seeds"] = {3};
  expect_contains(answer(part, 3).text, "with 1 loop and by -0.400 with 5");
  expect_contains(answer(part, 3).more, "These systems have one seed in common");
  system_named(part, "grid-5-256")["seeds"] = {4};
  expect_contains(answer(part, 3).text, "with 1 loop and by -0.300 with 5");
  expect_contains(answer(part, 3).more, "These systems have no seed in common");
}

TEST(AnswerTogether, WithoutAGridNothingIsSaid) {
  auto part = testing::poor_results()["parts"][0];
  EXPECT_EQ(answer(part, 3).headline, "Not measured");
}

/// Every seed of every model loops so many more times in each later layer at the end of training.
void set_last_loops(Json& part, const std::vector<double>& rise_by_seed) {
  for (auto& [name, curves] : part["curves"].items()) {
    for (size_t seed = 0; seed < curves.size(); ++seed) {
      if (curves[seed].contains("loops_by_layer")) {
        for (int layer = 0; layer < 4; ++layer) {
          curves[seed]["loops_by_layer"].back()[static_cast<size_t>(layer)] =
              2.0 + rise_by_seed.at(seed) * layer;
        }
      }
    }
  }
}

TEST(AnswerInside, FollowsTheLayers) {
  auto part = benchmark_part();
  EXPECT_EQ(answer(part, 4).headline, "Late layers loop most");
  expect_contains(answer(part, 4).more, "\"digits\" loop most");
  for (auto& [name, inside] : part["inside"].items()) {
    inside["expected_loops"] = {2.5, 2.0, 1.5, 1.0};
  }
  set_last_loops(part, {-0.5, -0.52, -0.51});
  EXPECT_EQ(answer(part, 4).headline, "Early layers loop most");
  expect_contains(answer(part, 4).text, "in 0 of 6 models and less in 6");
  part["inside"]["loop3"]["expected_loops"] = {1.0, 1.5, 2.0, 2.5};
  EXPECT_EQ(answer(part, 4).headline, "It differs by model");
  for (auto& [name, inside] : part["inside"].items()) {
    inside["expected_loops"] = {1.50, 1.51, 1.50, 1.52};
  }
  EXPECT_EQ(answer(part, 4).headline, "All layers loop alike");
}

TEST(AnswerInside, WhatTheSeedsDoNotShareIsNotTold) {
  auto part = benchmark_part();
  set_last_loops(part, {0.3, 0.32, 0.31});
  EXPECT_EQ(answer(part, 4).headline, "Late layers loop most");
  // Two layers up in the later half: twice the rise.
  expect_contains(answer(part, 4).text,
                  "Over 3 seeds, at the end of training, the later half ran +0.62 loops more");
  set_last_loops(part, {0.3, -0.2, 0.1});
  EXPECT_EQ(answer(part, 4).headline, "Not told apart");
  EXPECT_EQ(answer(part, 4).tone, Tone::kOpen);
  for (auto& [name, curves] : part["curves"].items()) {
    curves = Json::array({curves[0]});
  }
  EXPECT_EQ(answer(part, 4).headline, "In one seed late layers loop most");
  EXPECT_EQ(answer(part, 4).tone, Tone::kOpen);
}

TEST(AnswerQuestions, OneSeedIsNeverAFinding) {
  auto part = benchmark_part();
  set_loops(part, 1.0, -1.0);
  for (auto& system : part["systems"]) {
    system["seeds"] = {1};
    for (auto& [other, columns] : system["against"].items()) {
      for (auto& [key, comparison] : columns.items()) {
        comparison.erase("seeds");
      }
    }
    for (auto& [key, score] : system["scores"].items()) {
      score["by_seed"] = {score["mean"]};
      score.erase("spread");
    }
  }
  part["seeds"] = {1};
  for (auto& [name, curves] : part["curves"].items()) {
    curves = Json::array({curves[0]});
  }
  for (auto& [name, exits] : part["exits"].items()) {
    exits["seeds"] = {1};
    for (auto& result : exits["results"]) {
      result["bpb_difference"].erase("seeds");
    }
  }
  const auto typed = testing::typed(part);
  for (const auto& [pair, comparison] : typed.comparisons) {
    EXPECT_EQ(comparison.verdict, Verdict::kOpen) << pair.system << pair.other << pair.column;
  }
  for (const auto& answered : answer_questions(typed)) {
    EXPECT_EQ(answered.tone, Tone::kOpen) << answered.headline << ": " << answered.text;
    for (const char* word : {"a clearly", "are clearly", "is clearly"}) {
      EXPECT_EQ(answered.text.find(word), std::string::npos) << answered.text;
    }
  }
  expect_contains(answer(part, 1).text, "No finding without two common seeds");
}

TEST(AnswerInside, GatesAreToldFromTheirMeans) {
  auto part = benchmark_part();
  for (const char* name : {"mem-gm3", "mem-g0", "mem-g3"}) {
    part["inside"][name]["local_gate"]["mean"] = {{0.1, 0.1}, {0.2, 0.2}, {0.3, 0.3}, {0.4, 0.4}};
  }
  expect_contains(answer(part, 4).more,
                  "Local gates are open to 0.25 +- 0.12 across layers (the paper: 0.42 +- 0.13)");
  expect_contains(answer(part, 4).more, "0.10 in layer 1, 0.40 in layer 4");
}

}  // namespace
}  // namespace loopbank
