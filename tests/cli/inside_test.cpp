/// loopbank inside: what it prints for people and for scripts, and what it refuses.

#include <gtest/gtest.h>

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

/// The fixture and a model in `model`.
class InsideProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    write_fixture(directory_.path());
    write_model(directory_.path() / "model");
  }
  [[nodiscard]] ProgramResult inside(const std::vector<std::string>& flags) const {
    std::vector<std::string> words = {"inside", "model", "--text"};
    words.insert(words.end(), flags.begin(), flags.end());
    return run_program(words, "", directory_.path());
  }
  TestDirectory directory_;
};

TEST_F(InsideProgram, JsonIsAloneOnStdout) {
  const auto result = inside({"corpus.jsonl", "--rows", "3", "--sequence-length", "16", "--json"});
  ASSERT_EQ(result.status, 0) << result.err;
  const auto json = Json::parse(result.out);
  EXPECT_EQ(json.at("tokens"), 48);
  EXPECT_EQ(json.at("layers"), 2);
  EXPECT_EQ(json.at("loops"), 2);
  EXPECT_EQ(json.at("local_gate").at("mean").at(1).size(), 2U);
  EXPECT_EQ(json.at("bpb_by_loops").size(), 2U);
  EXPECT_EQ(json.at("token_view").at("tokens").size(), 47U);
  std::string text;
  for (const auto& token : json.at("token_view").at("tokens")) {
    text += token.at("text").get<std::string>();
  }
  // Behind the first token; the end of the first document lies between the two sentences.
  EXPECT_EQ(text, "he harbour of Velm lies on the north coast.<|endoftext|>Ada");
}

TEST_F(InsideProgram, WithoutFlagsTheRowsAreAsLongAsTheModelReads) {
  const auto result = inside({"corpus.txt", "--json"});
  ASSERT_EQ(result.status, 0) << result.err;
  const auto tokens = Json::parse(result.out).at("tokens").get<int64_t>();
  EXPECT_EQ(tokens % kFixturePositions, 0);
  const auto bytes = static_cast<int64_t>(file_size(directory_.path() / "corpus.txt"));
  EXPECT_EQ(tokens, bytes / kFixturePositions * kFixturePositions);  // and an end of text
}

TEST_F(InsideProgram, OfARunTheRowsAreAsLongAsThoseOfItsTraining) {
  std::filesystem::copy(directory_.path() / "run.toml", directory_.path() / "model/run.toml");
  const auto result = inside({"corpus.txt", "--rows", "2"});
  ASSERT_EQ(result.status, 0) << result.err;
  expect_contains(result.out, "32 tokens in 2 rows of 16;");
}

TEST_F(InsideProgram, PeopleReadTables) {
  const auto result = inside({"corpus.jsonl"});
  ASSERT_EQ(result.status, 0) << result.err;
  for (const auto* part : {"model on corpus.jsonl: ", "rows of 32; 2 layers, up to 2 loops",
                           "Expected loops n", "scale s_t", "State", "Memory gates", "names",
                           "function words", "BPB", "Most and fewest expected loops"}) {
    expect_contains(result.out, part);
  }
}

TEST_F(InsideProgram, BadLinesEndItOrAreSkippedAndTold) {
  write_text(directory_.path() / "some.jsonl",
             "{\"text\": \"Ada\"}\nbroken\n{\"text\": \"Velm\"}\n");
  EXPECT_EQ(inside({"some.jsonl"}).status, 4);
  const auto result = inside({"some.jsonl", "--json", "--skip-bad", "1"});
  ASSERT_EQ(result.status, 8) << result.err;
  expect_contains(result.err, "some.jsonl: 1 bad lines skipped, the first is line 2");
  EXPECT_EQ(Json::parse(result.out).at("tokens"), 8);
}

const std::vector<BadInput> kInsideMistakes = {
    {.name = "NoModel",
     .arguments = {"inside", "absent", "--text", "corpus.txt"},
     .status = 5,
     .fragments = {"absent"}},
    {.name = "NoText",
     .arguments = {"inside", "model", "--text", "absent.txt"},
     .status = 4,
     .fragments = {"absent.txt", "No such file"}},
    {.name = "NoTextFlag",
     .arguments = {"inside", "model"},
     .status = 2,
     .fragments = {"--text is required"}},
    {.name = "AnEmptyText",
     .arguments = {"inside", "model", "--text", "short.jsonl"},
     .status = 4,
     .fragments = {"short.jsonl: expected text of at least 2 tokens, got 0", "Give a longer text"},
     .spoil =
         [](const Path& directory) {
           write_text(directory / "short.jsonl", "{\"text\": \"\"}\n");
         }},
    {.name = "RowsLongerThanTheModelReads",
     .arguments = {"inside", "model", "--text", "corpus.txt", "--sequence-length", "33"},
     .status = 3,
     .fragments = {"at most 32 tokens", "got 33"}},
    {.name = "NoRows",
     .arguments = {"inside", "model", "--text", "corpus.txt", "--rows", "0"},
     .status = 2,
     .fragments = {"--rows"}},
};

class InsideMistake : public ::testing::TestWithParam<BadInput> {};

TEST_P(InsideMistake, EndsInOneLineThatNamesIt) {
  expect_refused_beside_model(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Inside, InsideMistake, ::testing::ValuesIn(kInsideMistakes),
                         [](const auto& mistake) { return mistake.param.name; });

}  // namespace
}  // namespace loopbank::testing
