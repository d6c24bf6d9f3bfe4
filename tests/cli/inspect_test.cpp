/// loopbank inspect: what it prints, what it writes, what it refuses.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "fixtures.h"
#include "loopbank/model/weights.h"
#include "loopbank/support/files.h"
#include "program.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

using Json = nlohmann::json;

class Inspect : public ::testing::Test {
 protected:
  void SetUp() override {
    write_fixture(directory_.path());
    write_model(directory_.path() / "model");
  }

  ProgramResult inspect(const std::vector<std::string>& flags,
                        const std::string& text = "corpus.jsonl") {
    std::vector<std::string> words = {"inspect", "model", "--text", text};
    words.insert(words.end(), flags.begin(), flags.end());
    return run_program(words, "", directory_.path());
  }
  void expect_error(const ProgramResult& result, int status, const std::string& part) {
    EXPECT_EQ(result.status, status) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
  }

  TestDirectory directory_;
};

TEST_F(Inspect, JsonHoldsEverythingAndStandsAlone) {
  const auto result = inspect({"--json", "--slots", "2", "--top", "3", "--zero", "layer0:3",
                               "--swap", "global:0,1", "--out", "report.json"});
  ASSERT_EQ(result.status, 0) << result.err;
  const auto json = Json::parse(result.out);
  EXPECT_EQ(json, Json::parse(read_file(directory_.path() / "report.json")));
  for (const char* key : {"model", "text", "tokens", "rows", "sequence_length", "bytes",
                          "skipped_lines", "max_loops", "bpb", "ablations", "reads", "banks"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  ASSERT_EQ(json.at("reads").size(), 8U);  // 2 layers, 2 loops, 2 banks
  for (const auto& read : json.at("reads")) {
    for (const char* key : {"bank", "layer", "loop", "reach", "gate", "entropy", "effective_slots",
                            "used_slots", "largest_weight", "gated_weight", "top_share"}) {
      EXPECT_TRUE(read.contains(key)) << key;
    }
    EXPECT_EQ(read.at("weight").size(), read.at("bank") == "global" ? 2U : 4U);
  }
  ASSERT_EQ(json.at("banks").size(), 3U);
  for (const auto& bank : json.at("banks")) {
    for (const char* key : {"slots", "used_slots", "dead_below", "dead_share", "dead", "weight",
                            "gated_weight", "top_share"}) {
      EXPECT_TRUE(bank.contains(key)) << key;
    }
    ASSERT_EQ(bank.at("most_read").size(), 2U);
    for (const auto& slot : bank.at("most_read")) {
      for (const char* key : {"slot", "weight", "gated_weight", "top_share", "tokens", "contexts",
                              "words", "zeroed"}) {
        EXPECT_TRUE(slot.contains(key)) << key;
      }
      EXPECT_EQ(slot.at("contexts").size(), 3U);
      EXPECT_EQ(slot.at("words").size(), bank.at("bank") == "global" ? 2U : 1U);
    }
  }
  std::vector<std::string> changes;
  for (const auto& row : json.at("ablations")) {
    changes.push_back(row.at("change").get<std::string>() + " " +
                      row.at("what").get<std::string>());
    EXPECT_TRUE(row.contains("bpb"));
    EXPECT_TRUE(row.contains("cost"));
    EXPECT_TRUE(row.contains("standard_error"));
  }
  EXPECT_EQ(std::vector<std::string>(changes.begin(), changes.begin() + 5),
            (std::vector<std::string>{"zero all", "zero layer0", "mean layer0", "zero layer1",
                                      "mean layer1"}));
  EXPECT_EQ(changes.back(), "swap global:0,1");
}

TEST_F(Inspect, PeopleGetTables) {
  const auto result = inspect({"--tokens", "50", "--ablate", "bank"}, "corpus.txt");
  ASSERT_EQ(result.status, 0) << result.err;
  for (const char* part :
       {"50 tokens in 2 rows of 32", "bank     layer loop", "zero all", "mean global",
        "layer1: 4 slots", "global: 2 slots", "  slot ", "    raises  "}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << part << "\n" << result.out;
  }
  EXPECT_EQ(result.out.find("zero layer0:"), std::string::npos);
}

TEST_F(Inspect, WithoutSlotsAndChangesTheReadsAlone) {
  const auto result = inspect({"--slots", "0", "--ablate", "none"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out.find("zero "), std::string::npos) << result.out;
  EXPECT_EQ(result.out.find("  slot "), std::string::npos) << result.out;
}

TEST_F(Inspect, MistakesEndInOneLine) {
  expect_error(inspect({"--zero", "layer2"}), 2, "--zero: expected a bank of the model");
  expect_error(inspect({"--zero", "layer0:4"}), 2, "expected slots of layer0 from 0 to 3, got");
  expect_error(inspect({"--swap", "layer0:1"}), 2, "--swap: expected two slots of a bank");
  expect_error(inspect({"--ablate", "none,bank"}), 2, "--ablate: expected none alone");
  expect_error(inspect({"--ablate", "rows"}), 2, "--ablate");
  expect_error(
      inspect({"--max-loops", "3"}), 2,
      "\"max_loops\" expects a loop budget from 1 to 2, or 0 for each layer's own N, got 3.");
  expect_error(inspect({"--sequence-length", "33"}), 2, "expected rows of 1 to 32 tokens");
  expect_error(inspect({"--tokens", "0"}), 2, "--tokens");
  expect_error(inspect({}, "missing.txt"), 4, "missing.txt");
  write_text(directory_.path() / "empty.txt", "");
  expect_error(inspect({}, "empty.txt"), 4, "empty.txt: text: expected at least 2 tokens");
  expect_error(run_program({"inspect", "model"}, "", directory_.path()), 2, "--text is required");
  expect_error(run_program({"inspect", "none", "--text", "corpus.txt"}, "", directory_.path()), 5,
               "none");
}

TEST_F(Inspect, AModelWithoutMemoryIsRefused) {
  ModelConfig config;
  config.vocab_size = 257;
  config.hidden_size = 16;
  config.intermediate_size = 32;
  config.num_hidden_layers = 1;
  config.num_attention_heads = 2;
  config.max_position_embeddings = kFixturePositions;
  config.max_loops = 2;
  LanguageModel model(config);
  model.parameters().initialize(/*seed=*/1);
  save_model(model, directory_.path() / "model");
  expect_error(inspect({}), 5, "expected a model with memory banks, got one with max_loops 2");
}

}  // namespace
}  // namespace loopbank::testing
