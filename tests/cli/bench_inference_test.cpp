/// loopbank bench decode and bench exit: what they print for scripts, what they write and refuse.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
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

/// Documents and a second model of the fixture's config.
class BenchExit : public BenchInference {
 protected:
  void SetUp() override {
    BenchInference::SetUp();
    std::string text;
    for (int document = 0; document < 3; ++document) {
      text +=
          Json({{"text", "A sentence of some forty characters or so, " + std::to_string(document)}})
              .dump() +
          "\n";
    }
    write_text(directory_.path() / "held-out.jsonl", text);
    write_model(directory_.path() / "other", 257, /*seed=*/2);
  }
  [[nodiscard]] ProgramResult exits(const std::vector<std::string>& models,
                                    const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"exit"};
    words.insert(words.end(), models.begin(), models.end());
    words.insert(words.end(), {"--out", "exits", "--document-tokens", "32", "--policies", "copy",
                               "--turns", "1", "--json"});
    words.insert(words.end(), more.begin(), more.end());
    if (std::find(more.begin(), more.end(), "--text") == more.end()) {
      words.insert(words.end(), {"--text", "held-out.jsonl"});
    }
    return bench(words);
  }
  const std::vector<std::string> kRules = {"--rules", "cdf:0.5", "cdf:0.5,hard"};
};

TEST_F(BenchExit, WritesResultsAndAPage) {
  const auto result = exits({"model"}, kRules);
  ASSERT_EQ(result.status, 0) << result.err;
  const auto json = Json::parse(result.out);
  EXPECT_EQ(json.at("documents"), 3);
  EXPECT_EQ(json.at("models"), 1);
  // All and the rule by full and copy, the hard one by full; everywhere without what decode has.
  EXPECT_EQ(json.at("results").size(), 5U + 3U + 5U);
  for (const char* key :
       {"rule", "kv", "where", "bpb", "kl", "top1_agreement", "mean_loops", "flops_per_token",
        "seconds", "kv_bytes_per_token", "share_returned", "noise_share"}) {
    EXPECT_TRUE(json.at("results")[0].contains(key)) << key;
  }
  EXPECT_TRUE(json.at("results")[0].at("bpb_over_seeds").is_null());
  EXPECT_EQ(json.at("noise").size(), 3U);
  EXPECT_EQ(Json::parse(read_file(directory_.path() / "exits/results.json")), json);
  EXPECT_NE(read_file(directory_.path() / "exits/exit.html").find("cdf:0.5,hard"),
            std::string::npos);
}

TEST_F(BenchExit, EachModelMayHaveATextOfItsOwn) {
  const auto text = read_file(directory_.path() / "held-out.jsonl");
  write_text(directory_.path() / "model/own.jsonl", text);
  write_text(directory_.path() / "other/own.jsonl", text + text);
  const auto own = exits({"model", "other"}, {"--rules", "cdf:0.5", "--text", "{model}/own.jsonl"});
  ASSERT_EQ(own.status, 0) << own.err;
  std::vector<size_t> documents;  // of each row
  std::istringstream rows(read_file(directory_.path() / "exits/rows.jsonl"));
  for (std::string line; std::getline(rows, line);) {
    if (line.find("document_bpb") != std::string::npos) {
      documents.push_back(Json::parse(line).at("document_bpb").size());
    }
  }
  ASSERT_FALSE(documents.empty());
  EXPECT_EQ(documents.front(), 3U);
  EXPECT_EQ(documents.back(), 6U);
}

TEST_F(BenchExit, GoesOnWhereItWasKilledAndSetsSeedsTogether) {
  ASSERT_EQ(exits({"model", "other"}, kRules).status, 0);
  const auto rows = directory_.path() / "exits/rows.jsonl";
  const auto whole = read_file(rows);
  EXPECT_EQ(std::count(whole.begin(), whole.end(), '\n'), 2 + 2 * 13);
  size_t end = 0;
  for (int line = 0; line < 2 + 13 + 4; ++line) {  // the first model and four rows of the second
    end = whole.find('\n', end) + 1;
  }
  write_text(rows, whole.substr(0, end + 20));  // and a row that was cut off
  std::filesystem::remove(directory_.path() / "exits/results.json");
  std::filesystem::remove(directory_.path() / "exits/exit.html");
  const auto result = exits({"model", "other"}, kRules);
  ASSERT_EQ(result.status, 0) << result.err;
  const auto continued = read_file(rows);
  EXPECT_EQ(continued.substr(0, end), whole.substr(0, end));
  EXPECT_EQ(std::count(continued.begin(), continued.end(), '\n'), 2 + 2 * 13);
  const auto json = Json::parse(result.out);
  EXPECT_EQ(json.at("models"), 2);
  const auto& row = json.at("results")[1];
  ASSERT_EQ(row.at("by_model").size(), 2U);
  EXPECT_NEAR(row.at("bpb"),
              (row.at("by_model")[0].at("bpb").get<double>() +
               row.at("by_model")[1].at("bpb").get<double>()) /
                  2,
              1e-12);
  EXPECT_NE(row.at("by_model")[0].at("bpb"), row.at("by_model")[1].at("bpb"));
  EXPECT_FALSE(row.at("bpb_over_seeds").is_null());
  EXPECT_EQ(Json::parse(read_file(directory_.path() / "exits/results.json")), json);
  // Once more: nothing is measured.
  const auto again = exits({"model", "other"}, kRules);
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(read_file(rows), continued);
  EXPECT_EQ(Json::parse(again.out), json);
}

TEST_F(BenchExit, RefusesOtherSettingsAndModelsThatDoNotBelongTogether) {
  ASSERT_EQ(exits({"model"}, kRules).status, 0);
  const auto other_rules = exits({"model"}, {"--rules", "cdf:0.6"});
  EXPECT_EQ(other_rules.status, 4);
  EXPECT_NE(other_rules.err.find("rows.jsonl:1: expected rows measured with rules = [\"cdf:0.6\"]"),
            std::string::npos)
      << other_rules.err;
  EXPECT_NE(exits({"other"}, kRules).err.find("expected rows measured with models = "),
            std::string::npos);
  write_model(directory_.path() / "wide", 300);
  EXPECT_NE(exits({"model", "wide"}, kRules)
                .err.find("bench exit: expected models of one config, got vocab_size 257 in model "
                          "and 300 in wide."),
            std::string::npos);
  EXPECT_NE(
      exits({"model", "model"}, kRules).err.find("expected models that differ, got model twice"),
      std::string::npos);
}

TEST_F(BenchExit, ScoresTasksByEachRule) {
  std::string rows;
  for (int question = 0; question < 4; ++question) {
    rows += Json({{"context", "Question " + std::to_string(question) + ":"},
                  {"choices", Json::array({"it is so"})},
                  {"label", 0}})
                .dump() +
            "\n";
  }
  write_text(directory_.path() / "tasks/odd.jsonl", rows);
  const auto result =
      exits({"model", "other"}, {"--rules", "budget:1", "--tasks", "odd", "--data", "tasks"});
  ASSERT_EQ(result.status, 0) << result.err;
  const auto json = Json::parse(result.out);
  for (const auto& row : json.at("results")) {
    ASSERT_EQ(row.contains("tasks"), row.at("where") == "scoring");
    if (row.at("where") == "scoring") {
      const double value = row.at("tasks").at("odd");
      EXPECT_GT(value, 0.0);  // bits per byte of the one choice
      EXPECT_EQ(value == json.at("results")[5].at("tasks").at("odd"), row.at("rule") == "all");
      EXPECT_NEAR(row.at("task_differences").at("odd").at("difference"),
                  value - json.at("results")[5].at("tasks").at("odd").get<double>(), 1e-12);
    }
  }
  // What eval says of the same model.
  const auto eval = run_program(
      {"eval", "model", "--tasks", "odd", "--data", "tasks", "--exit", "budget:1", "--json"}, "",
      directory_.path());
  ASSERT_EQ(eval.status, 0) << eval.err;
  const auto scored = std::find_if(
      json.at("results").begin(), json.at("results").end(),
      [](const Json& row) { return row.at("where") == "scoring" && row.at("rule") == "budget:1"; });
  EXPECT_EQ(scored->at("by_model")[0].at("tasks").at("odd"),
            Json::parse(eval.out).at("results")[0].at("value"));
}

TEST_F(BenchExit, RulesThatReadTheHeadServeAnalysisAlone) {
  const auto result = exits({"model"}, {"--rules", "entropy:5", "kl:0.01,hard", "argmax:2"});
  ASSERT_EQ(result.status, 0) << result.err;
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"generate", "model", "--prompt", "A", "--exit", "entropy:5"},
           {"eval", "model", "--tasks", "odd", "--data", ".", "--exit", "kl:0.01"},
           {"bench", "decode", "model", "--exit", "argmax:2"}}) {
    const auto refused = run_program(words, "", directory_.path());
    EXPECT_EQ(refused.status, 2);
    EXPECT_NE(refused.err.find("serve analysis alone, in bench exit and inside."),
              std::string::npos)
        << refused.err;
  }
  const auto inside =
      run_program({"inside", "model", "--text", "corpus.jsonl", "--exit", "entropy:5", "--json"},
                  "", directory_.path());
  ASSERT_EQ(inside.status, 0) << inside.err;
  EXPECT_EQ(Json::parse(inside.out).at("exit").at("exit"), "entropy:5");
}

}  // namespace
}  // namespace loopbank::testing
