#include <fmt/format.h>
#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "fixtures.h"
#include "program.h"
#include "serve_process.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

std::vector<std::string> load_words(const std::vector<std::string>& more) {
  std::vector<std::string> words = {"bench", "serve",           "model", "--seconds",
                                    "1",     "--prompt-tokens", "4:12",  "--max-tokens",
                                    "3:8",   "--json"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(BenchServe, LoadsAServerOfItsOwnAndComparesEveryAnswer) {
  const TestDirectory directory;
  write_model(directory.path() / "model");
  const auto result =
      run_program(load_words({"--clients", "1,4", "--check", "--stream-share", "0.8",
                              "--cancel-share", "0.2", "--long-prompts", "5"}),
                  "", directory.path());
  ASSERT_EQ(result.status, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  ASSERT_EQ(json.at("results").size(), 2U);
  for (const auto& row : json.at("results")) {
    EXPECT_GT(row.at("tokens_per_second"), 0.0);
    EXPECT_GT(row.at("statuses").at("200"), 0);
    EXPECT_EQ(row.at("statuses").size(), 1U) << row.dump();
    EXPECT_GT(row.at("cancelled"), 0);
    EXPECT_GT(row.at("long_prompts"), 0);
    EXPECT_GT(row.at("of_one_client"), 0.0);
    EXPECT_GE(row.at("mean_loops"), 1.0);
    EXPECT_LE(row.at("mean_loops"), 2.0);
    EXPECT_GT(row.at("first_token").at("p99_ms"), 0.0);
    EXPECT_GT(row.at("memory_bytes").at("before"), 1e6);
  }
  EXPECT_GT(json.at("checked").at("answers"), 10);
  EXPECT_EQ(json.at("checked").at("largest_difference"), 0.0);  // the same bits, whoever is served
}

TEST(BenchServe, FindsAnAnswerOfAnotherModelAndAFullQueue) {
  const TestDirectory directory;
  write_model(directory.path() / "model");
  write_model(directory.path() / "other", 257, /*seed=*/2);
  ServeProcess server(directory.path(), "server", {"other", "--port", "0", "--max-requests", "1"});
  ASSERT_GT(server.port(), 0) << server.err();
  const auto url = fmt::format("http://127.0.0.1:{}", server.port());
  const auto result =
      run_program(load_words({"--clients", "4", "--check", "--url", url}), "", directory.path());
  EXPECT_EQ(result.status, 4) << result.out;
  expect_contains(result.err, "expected the answer that the model gives alone, got another one");
  const auto full = run_program(load_words({"--clients", "4", "--url", url}), "", directory.path());
  ASSERT_EQ(full.status, 0) << full.err;
  const auto statuses = nlohmann::json::parse(full.out).at("results").at(0).at("statuses");
  EXPECT_GT(statuses.at("429"), 0);
  EXPECT_GT(statuses.at("200"), 0);
}

TEST(BenchServe, AServerThatCannotStartIsOneLine) {
  const TestDirectory directory;
  write_model(directory.path() / "model");
  truncate_file(directory.path() / "model" / "model.safetensors", 100);
  const auto result = run_program(load_words({"--clients", "1"}), "", directory.path());
  EXPECT_EQ(result.status, 2);
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  expect_contains(result.err, "expected a server that serves within 60 s, got exit status 5");
  const auto rule =
      run_program(load_words({"--clients", "1", "--exit", "most"}), "", directory.path());
  EXPECT_EQ(rule.status, 2);
  expect_contains(rule.err, "bench serve: ");
  const auto nobody = run_program(load_words({"--clients", "1", "--url", "http://127.0.0.1:1"}), "",
                                  directory.path());
  EXPECT_EQ(nobody.status, 4);
  expect_contains(nobody.err, "expected a connection, got: ");
}

}  // namespace
}  // namespace loopbank::testing
