/// loopbank thinking: what it prints for people and for scripts, and what it refuses.

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bad_input.h"
#include "fixtures.h"
#include "program.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

using Json = nlohmann::json;
using Path = std::filesystem::path;

/// Ten questions, of which one does not tell its steps.
void write_questions(const Path& path) {
  std::string lines;
  for (int i = 0; i < 10; ++i) {
    Json row = {{"id", "q" + std::to_string(i)},
                {"context", "Ada has " + std::to_string(i) + " ="},
                {"choices", {"ab", "c"}},
                {"label", 0}};
    if (i > 0) {
      row["steps"] = {1 + i % 3, 4};
    }
    lines += row.dump() + "\n";
  }
  write_text(path, lines);
}

/// The fixture, a model in `model` and questions in `data`.
class ThinkingProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    write_fixture(directory_.path());
    write_model(directory_.path() / "model");
    write_questions(directory_.path() / "data/made.jsonl");
  }
  [[nodiscard]] ProgramResult thinking(const std::vector<std::string>& flags = {}) const {
    std::vector<std::string> words = {"thinking", "model", "--tasks", "made", "--data", "data"};
    words.insert(words.end(), flags.begin(), flags.end());
    return run_program(words, "", directory_.path());
  }
  TestDirectory directory_;
};

TEST_F(ThinkingProgram, JsonIsAloneOnStdout) {
  const auto result = thinking({"--json"});
  ASSERT_EQ(result.status, 0) << result.err;
  const auto made = Json::parse(result.out).at("thinking").at(0);
  EXPECT_EQ(made.at("task"), "made");
  EXPECT_EQ(made.at("questions"), 9);
  EXPECT_EQ(made.at("tokens"), 18);
  EXPECT_EQ(made.at("by_steps").size(), 4U);
  EXPECT_EQ(made.at("by_steps").at(3).at("tokens"), 9);
  EXPECT_EQ(made.at("by_layer").size(), 2U);
  EXPECT_LE(std::abs(made.at("given_place").at("rho").get<double>()), 1.0);
}

TEST_F(ThinkingProgram, PeopleReadTables) {
  const auto result = thinking({"--limit", "4"});
  ASSERT_EQ(result.status, 0) << result.err;
  for (const auto* part : {"made: loops of 6 answer tokens of 3 questions", "loops by layer",
                           "made: rank correlation of loops and steps", "place held", "loss held",
                           "layer 1", "layer 2"}) {
    expect_contains(result.out, part);
  }
}

const std::vector<BadInput> kThinkingMistakes = {
    {.name = "NoSteps",
     .arguments = {"thinking", "model", "--tasks", "made", "--data", "data"},
     .status = 4,
     .fragments = {"made: expected questions that tell the \"steps\" behind their answers, got 1"},
     .spoil =
         [](const Path& directory) {
           write_text(directory / "data/made.jsonl",
                      R"({"context": "x =", "choices": ["a"], "label": 0})"
                      "\n");
         }},
    {.name = "NoData",
     .arguments = {"thinking", "model", "--tasks", "made"},
     .status = 2,
     .fragments = {"--data is required"}},
};

class ThinkingMistake : public ::testing::TestWithParam<BadInput> {};

TEST_P(ThinkingMistake, EndsInOneLineThatNamesIt) {
  expect_refused_beside_model(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Thinking, ThinkingMistake, ::testing::ValuesIn(kThinkingMistakes),
                         [](const auto& mistake) { return mistake.param.name; });

}  // namespace
}  // namespace loopbank::testing
