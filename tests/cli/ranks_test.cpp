/// Commands under several ranks: each does its share, and the first of them speaks.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "fixtures.h"
#include "loopbank/ranks/free_port.h"
#include "loopbank/support/files.h"
#include "program.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// Runs `loopbank WORDS` as two ranks of one thread; the words are those of a shell. What each prints
/// on stderr is in rank-0.err and rank-1.err; the exit status is the first's or else the second's.
ProgramResult run_two_ranks(const std::string& words, const fs::path& directory) {
  const auto script = fmt::format(
      "export WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT={} LOOPBANK_THREADS=1\n"
      "RANK=1 LOCAL_RANK=1 {} {} >rank-1.out 2>rank-1.err & second=$!\n"
      "RANK=0 LOCAL_RANK=0 {} {} 2>rank-0.err; first=$?\n"
      "wait $second && exit $first\n",
      free_port(), LOOPBANK_PROGRAM, words, LOOPBANK_PROGRAM, words);
  auto result = run_command({"/bin/sh", "-c", script}, "", directory);
  result.err += read_file(directory / "rank-0.err") + read_file(directory / "rank-1.err");
  EXPECT_EQ(read_file(directory / "rank-1.out"), "") << "the second rank has nothing to say";
  return result;
}

/// Ten questions of two to four choices, of unequal lengths.
void write_quiz(const fs::path& path) {
  std::string rows;
  for (int i = 0; i < 10; ++i) {
    auto choices = Json::array();
    for (int choice = 0; choice < 2 + i % 3; ++choice) {
      choices.push_back(std::string(static_cast<size_t>(1 + (3 * i + choice) % 5), 'a' + choice));
    }
    rows += Json{{"task", "quiz"},
                 {"id", std::to_string(i)},
                 {"context", "Answer" + std::string(static_cast<size_t>(i), '!')},
                 {"choices", choices},
                 {"label", i % 2}}
                .dump() +
            "\n";
  }
  write_text(path, rows);
}

/// Without what time and sharing change.
Json without_cost(Json json) {
  for (const char* group : {"results", "suites"}) {
    for (auto& row : json[group]) {
      for (const char* key : {"seconds", "computed_tokens", "tokens_per_second",
                              "computed_tokens_per_second", "head_rows"}) {
        row.erase(key);
      }
    }
  }
  return json;
}

TEST(RanksCommand, EvalGivesTheResultsOfOneRankBitForBit) {
  const TestDirectory directory;
  write_model(directory.path() / "model");
  write_quiz(directory.path() / "tasks/quiz.jsonl");
  const std::string words = "eval model --tasks quiz --data tasks --max-loops 1,2 --json --out ";
  const auto alone = run_command({"/bin/sh", "-c", LOOPBANK_PROGRAM + (" " + words + "alone")}, "",
                                 directory.path());
  ASSERT_EQ(alone.status, 0) << alone.err;
  const auto shared = run_two_ranks(words + "shared", directory.path());
  ASSERT_EQ(shared.status, 0) << shared.err;
  const auto expected = Json::parse(alone.out);
  const auto found = Json::parse(shared.out);
  EXPECT_EQ(without_cost(found), without_cost(expected));
  ASSERT_EQ(expected.at("results").size(), 2U);
  // Both together did about what one does, and not each all of it.
  const auto tokens = [](const Json& json) {
    return json.at("results")[0].at("computed_tokens").get<int64_t>();
  };
  EXPECT_LT(tokens(found), 1.5 * static_cast<double>(tokens(expected)));
  int compared = 0;
  for (const auto& entry : fs::directory_iterator(directory.path() / "alone")) {
    const auto name = entry.path().filename();
    if (name.string().find("predictions") != std::string::npos) {
      EXPECT_EQ(read_file(entry.path()), read_file(directory.path() / "shared" / name)) << name;
      ++compared;
    }
  }
  EXPECT_EQ(compared, 2);
}

TEST(RanksCommand, AStudysRunsAreSharedAndTheFirstRankReports) {
  const TestDirectory directory;
  std::string words = "study --systems isopar,loop3 --out study";
  for (const char* item :
       {"model.hidden_size=16", "model.intermediate_size=32", "model.num_hidden_layers=1",
        "model.num_attention_heads=2", "training.batch=2", "training.sequence_length=32",
        "training.validation_rows=2", "training.steps=3", "training.device=cpu"}) {
    words += std::string(" --set ") + item;
  }
  const auto run = run_two_ranks(words, directory.path());
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_NE(run.out.find("Loop-3"), std::string::npos) << run.out;
  EXPECT_EQ(read_file(directory.path() / "rank-1.err"), "");
  EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 2) << run.err;
  const auto json = Json::parse(read_file(directory.path() / "study/results.json"));
  EXPECT_EQ(json.at("systems").size(), 2U);
  EXPECT_TRUE(json.at("finished"));
}

TEST(RanksCommand, BenchRanksSetsWhatItMeasuresBesideWhatPlanPredicts) {
  const TestDirectory directory;
  write_fixture(directory.path());
  const auto run = run_program({"bench", "ranks", "--config", "run.toml", "--set",
                                "training.batch=2", "--ranks", "1,2", "--steps", "2", "--json"},
                               "", directory.path());
  ASSERT_EQ(run.status, 0) << run.err;
  const auto json = Json::parse(run.out);
  ASSERT_EQ(json.at("results").size(), 2U);
  for (const auto& row : json.at("results")) {
    const bool several = row.at("ranks") == 2;
    EXPECT_GT(row.at("tokens_per_second").get<double>(), 0.0);
    EXPECT_GT(row.at("predicted").at("tokens_per_second").get<double>(), 0.0);
    EXPECT_GT(row.at("measured_alone").at("pass_seconds").get<double>(), 0.0);
    EXPECT_EQ(row.at("measured_alone").at("exchange_seconds").get<double>() > 0.0, several);
    EXPECT_EQ(row.at("communication_share").get<double>() > 0.0, several);
    EXPECT_LT(row.at("communication_share").get<double>(), 1.0);
    EXPECT_LE(row.at("overlap").get<double>(), 1.0);
  }
  const auto refused = run_program({"bench", "ranks", "--config", "run.toml", "--set",
                                    "training.batch=2", "--ranks", "4", "--steps", "1"},
                                   "", directory.path());
  EXPECT_NE(refused.status, 0);
  EXPECT_NE(refused.err.find("expected a batch that 4 ranks share evenly, got 2 sequences."),
            std::string::npos)
      << refused.err;
}

TEST(RanksCommand, BenchGrowthMeasuresEachPointInItsOwnProcess) {
  const TestDirectory directory;
  write_fixture(directory.path());
  const auto run = run_program({"bench", "growth", "--config", "run.toml", "--by", "length",
                                "--longest", "32", "--steps", "1", "--json"},
                               "", directory.path());
  ASSERT_EQ(run.status, 0) << run.err;
  const auto points = Json::parse(run.out).at("results")[0].at("points");
  ASSERT_GE(points.size(), 2U);
  EXPECT_EQ(points.back().at("length"), 32);
  for (const auto& point : points) {
    EXPECT_GT(point.at("step_seconds").get<double>(), 0.0);
    EXPECT_GT(point.at("peak_memory_bytes").get<double>(), 0.0);
    EXPECT_GT(point.at("planned_memory_bytes").get<double>(), 0.0);
  }
}

}  // namespace
}  // namespace loopbank::testing
