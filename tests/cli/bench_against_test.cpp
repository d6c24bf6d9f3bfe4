/// bench train --against pytorch, beside a stand-in for the interpreter: both versions take turns,
/// and the ratios are those to the better one.

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "fixtures.h"
#include "loopbank/support/files.h"
#include "program.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

/// Answers orders as reference/bench.py does: a step of the plain version takes 8 s and 3 GB; the
/// compiled one answers `compiled`. Logs who was asked for how many steps.
void write_interpreter(const std::filesystem::path& directory, const std::string& compiled) {
  const std::string plain =
      R"({"torch": "9.1", "seconds": [8.0], "processor_seconds": [8.0], "peak_memory_bytes": 3000})";
  write_text(directory / "compiled", compiled + "\n");
  write_text(directory / "plain", plain + "\n");
  write_text(directory / "python",
             "#!/bin/sh\n"
             "name=plain\n"
             "for word; do [ \"$word\" = --compile ] && name=compiled; done\n"
             "while read count; do echo $name $count >>asked; cat $name; done\n");
  std::filesystem::permissions(directory / "python", std::filesystem::perms::owner_all);
  std::filesystem::create_directories(directory / "reference");
  write_text(directory / "reference/bench.py", "");
}

ProgramResult bench_against(const std::filesystem::path& directory, const std::string& compiled,
                            const std::vector<std::string>& more) {
  write_interpreter(directory, compiled);
  write_fixture(directory);
  std::vector<std::string> words = {"bench", "train",     "--config", "run.toml", "--steps",
                                    "2",     "--against", "pytorch",  "--python", "./python"};
  words.insert(words.end(), more.begin(), more.end());
  return run_program(words, "", directory);
}

TEST(BenchAgainst, RatiosAreToTheBetterOfThePlainAndTheCompiledVersion) {
  const TestDirectory directory;
  const auto result = bench_against(
      directory.path(),
      R"({"torch": "9.1", "seconds": [2.0], "processor_seconds": [4.0], "peak_memory_bytes": 5000})",
      {"--json"});
  ASSERT_EQ(result.status, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  const auto& peers = json.at("peers");
  ASSERT_EQ(peers.size(), 2);
  EXPECT_EQ(peers[0].at("name"), "plain");
  EXPECT_EQ(peers[1].at("name"), "compiled");
  EXPECT_EQ(peers[1].at("torch"), "9.1");
  const double tokens = json.at("tokens_per_second").get<double>();
  const double of_compiled = peers[1].at("tokens_per_second").get<double>();
  EXPECT_DOUBLE_EQ(of_compiled, 4 * peers[0].at("tokens_per_second").get<double>());
  EXPECT_DOUBLE_EQ(json.at("ratio_to_pytorch").get<double>(), tokens / of_compiled);
  EXPECT_DOUBLE_EQ(json.at("pytorch_tokens_per_second").get<double>(), of_compiled);
  EXPECT_EQ(json.at("pytorch_peak_memory_bytes"), 3000);  // the plain one takes less
  EXPECT_DOUBLE_EQ(peers[0].at("processor_ratio").get<double>(),
                   2 * peers[1].at("processor_ratio").get<double>());
  // Warm-up steps, then turns.
  EXPECT_EQ(read_file(directory.path() / "asked", ErrorCode::kData),
            "plain 2\ncompiled 2\nplain 1\ncompiled 1\nplain 1\ncompiled 1\n");
}

TEST(BenchAgainst, APeerWithoutCompilationLeavesThePlainOne) {
  const TestDirectory directory;
  const auto result = bench_against(
      directory.path(), R"({"torch": "1.13.1", "unavailable": "it has no torch.compile"})", {});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_NE(result.err.find("PyTorch 1.13.1 is measured without torch.compile: it has no "
                            "torch.compile."),
            std::string::npos)
      << result.err;
  EXPECT_NE(result.out.find("PyTorch 9.1, plain, in turns with it"), std::string::npos);
  EXPECT_EQ(result.out.find("compiled"), std::string::npos);
}

TEST(BenchAgainst, KnowsNoOtherPeer) {
  const TestDirectory directory;
  write_fixture(directory.path());
  const auto result = run_program({"bench", "train", "--config", "run.toml", "--against", "jax"},
                                  "", directory.path());
  EXPECT_EQ(result.status, 2);
  EXPECT_NE(result.err.find("--against"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace loopbank::testing
