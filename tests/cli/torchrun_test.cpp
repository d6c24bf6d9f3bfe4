/// Training under the real torchrun, of Debian's python3-torch.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "fixtures.h"
#include "program.h"
#include "rank_processes.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

constexpr const char* kTorchrun = "/usr/bin/torchrun";

std::vector<std::string> train_words(const std::string& out) {
  return {"train",
          "run.toml",
          "--out",
          out,
          "--quiet",
          "--set",
          "training.steps=5",
          "--set",
          "training.batch=4",
          "--set",
          "training.micro_batch=2"};
}

/// The metrics without what a clock measured.
std::vector<nlohmann::json> rows_of(const std::filesystem::path& file) {
  std::vector<nlohmann::json> rows;
  std::istringstream lines(content_of(file));
  for (std::string line; std::getline(lines, line);) {
    rows.push_back(nlohmann::json::parse(line));
    rows.back().erase("tokens_per_second");
  }
  return rows;
}

TEST(Torchrun, TwoRanksTrainAsOneProcessDoes) {
  if (!std::filesystem::exists(kTorchrun)) {
    GTEST_SKIP() << kTorchrun << " is not installed";
  }
  const TestDirectory directory;
  write_fixture(directory.path());
  const std::map<std::string, std::string> one_thread = {{"OMP_NUM_THREADS", "1"}};
  const auto alone = run_program(train_words("alone"), "", directory.path(), one_thread);
  EXPECT_EQ(alone.status, 0) << alone.err;
  std::vector<std::string> words = {kTorchrun,          "--no_python",
                                    "--nproc_per_node", "2",
                                    "--master_port",    fmt::format("{}", free_port()),
                                    LOOPBANK_PROGRAM};
  for (const auto& word : train_words("together")) {
    words.push_back(word);
  }
  const auto together = run_command(words, "", directory.path(), one_thread);
  EXPECT_EQ(together.status, 0) << together.err;
  EXPECT_EQ(rows_of(directory.path() / "together/metrics.jsonl"),
            rows_of(directory.path() / "alone/metrics.jsonl"));
  EXPECT_EQ(content_of(directory.path() / "together/model.safetensors"),
            content_of(directory.path() / "alone/model.safetensors"));
}

}  // namespace
}  // namespace loopbank::testing
