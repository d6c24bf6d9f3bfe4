/// loopbank bench decode and bench exit: what they print for scripts, what they write and refuse.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "fixtures.h"
#include "loopbank/support/files.h"
#include "program.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

using Json = nlohmann::json;

/// The fixture and a model in `model`.
class BenchInference : public ::testing::Test {
 protected:
  void SetUp() override {
    write_fixture(directory_.path());
    write_model(directory_.path() / "model");
  }
  [[nodiscard]] ProgramResult bench(std::vector<std::string> words) const {
    words.insert(words.begin(), "bench");
    words.insert(words.end(), {"--threads", "1"});  // so small that threads would only wait
    return run_program(words, "", directory_.path());
  }
  TestDirectory directory_;
};

TEST_F(BenchInference, DecodeTellsSpeedAndItsBound) {
  const std::vector<std::string> sizes = {"--prompt-tokens", "4", "--tokens", "8", "--json"};
  for (const auto& model : {std::vector<std::string>{"model"}, {"--config", "run.toml"}}) {
    std::vector<std::string> words = {"decode"};
    words.insert(words.end(), model.begin(), model.end());
    words.insert(words.end(), {"--exit", "budget:1", "--kv", "first"});
    words.insert(words.end(), sizes.begin(), sizes.end());
    const auto result = bench(words);
    ASSERT_EQ(result.status, 0) << result.err;
    const auto json = Json::parse(result.out);
    for (const char* key : {"tokens_per_second", "bytes_per_token", "bandwidth_bytes_per_second",
                            "first_token_seconds", "load_seconds"}) {
      EXPECT_GT(json.at(key).get<double>(), 0.0) << key;
    }
    EXPECT_TRUE(json.at("share_of_bound").is_null()) << "a model that fits the caches";
    EXPECT_EQ(json.at("mean_loops"), 1.0);
    EXPECT_EQ(json.at("kv"), "first");
  }
}

TEST_F(BenchInference, DecodeTakesOneModelAndKnownRules) {
  EXPECT_NE(bench({"decode"}).status, 0);
  EXPECT_NE(bench({"decode", "model", "--config", "run.toml"}).status, 0);
  const auto result = bench({"decode", "model", "--exit", "cfd:0.5"});
  EXPECT_NE(result.status, 0);
  EXPECT_NE(result.err.find("\"exit\": expected all, cdf:Q"), std::string::npos) << result.err;
}

TEST_F(BenchInference, APolicyForDecodedTokensAloneIsRefusedWhereATextIsScored) {
  write_text(directory_.path() / "text.jsonl", "{\"text\": \"Ada lives in Lima.\"}\n");
  const std::vector<std::string> words = {"inside", "model",   "--text", "text.jsonl",
                                          "--exit", "cdf:0.5", "--kv",   "last"};
  const auto result = run_program(words, "", directory_.path());
  EXPECT_NE(result.status, 0);
  EXPECT_NE(result.err.find("\"kv\" last holds for decoded tokens alone"), std::string::npos)
      << result.err;
}

TEST_F(BenchInference, ExitWritesResultsAndAPage) {
  std::string text;
  for (int document = 0; document < 3; ++document) {
    text +=
        Json({{"text", "A sentence of some forty characters or so, " + std::to_string(document)}})
            .dump() +
        "\n";
  }
  write_text(directory_.path() / "held-out.jsonl", text);
  const auto result = bench({"exit", "model", "--text", "held-out.jsonl", "--out", "exits",
                             "--document-tokens", "32", "--rules", "cdf:0.5", "cdf:0.5,hard",
                             "--policies", "copy", "--turns", "1", "--json"});
  ASSERT_EQ(result.status, 0) << result.err;
  const auto json = Json::parse(result.out);
  EXPECT_EQ(json.at("documents"), 3);
  // All and the rule by full and copy, the hard one by full; everywhere without what decode has.
  EXPECT_EQ(json.at("results").size(), 5U + 3U + 5U);
  for (const char* key : {"rule", "kv", "where", "bpb", "kl", "top1_agreement", "mean_loops",
                          "flops_per_token", "seconds", "kv_bytes_per_token", "share_returned"}) {
    EXPECT_TRUE(json.at("results")[0].contains(key)) << key;
  }
  EXPECT_EQ(Json::parse(read_file(directory_.path() / "exits/results.json")), json);
  EXPECT_NE(read_file(directory_.path() / "exits/exit.html").find("cdf:0.5,hard"),
            std::string::npos);
}

}  // namespace
}  // namespace loopbank::testing
