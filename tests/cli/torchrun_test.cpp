/// Training under the real torchrun, of Debian's python3-torch.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "fixtures.h"
#include "loopbank/ranks/free_port.h"
#include "program.h"
#include "rank_processes.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

constexpr const char* kTorchrun = "/usr/bin/torchrun";
const std::map<std::string, std::string> kOneThread = {{"OMP_NUM_THREADS", "1"}};

/// `torchrun FLAGS loopbank train ...` with two ranks. Underscores: LibTorch 1.13 knows no other flags;
/// redirected: its torchrun does not start otherwise on Python 3.11.
std::vector<std::string> torchrun_words(const std::vector<std::string>& words,
                                        const std::string& max_restarts) {
  std::vector<std::string> all = {kTorchrun,
                                  "--no_python",
                                  "--nproc_per_node",
                                  "2",
                                  "--max_restarts",
                                  max_restarts,
                                  "--monitor_interval",
                                  "0.1",
                                  "--redirects",
                                  "1",
                                  "--tee",
                                  "1",
                                  "--log_dir",
                                  "torchrun",
                                  "--master_port",
                                  fmt::format("{}", free_port()),
                                  LOOPBANK_PROGRAM};
  all.insert(all.end(), words.begin(), words.end());
  return all;
}

/// Two passes a step, so that two ranks and one add the same numbers in the same order.
std::vector<std::string> two_pass_words(const std::string& out, int steps) {
  return {"train",   "run.toml",
          "--out",   out,
          "--quiet", "--resume",
          "--set",   fmt::format("training.steps={}", steps),
          "--set",   "training.batch=4",
          "--set",   "training.micro_batch=2",
          "--set",   "training.checkpoint_every=10"};
}

/// The process of a rank that works in the folder; 0: none.
pid_t find_rank(const std::filesystem::path& folder, int64_t rank) {
  const auto variable = fmt::format("RANK={}", rank);
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::error_code gone;
    const auto place = std::filesystem::read_symlink(entry.path() / "cwd", gone);
    if (gone || place != folder ||
        std::filesystem::read_symlink(entry.path() / "exe", gone) != LOOPBANK_PROGRAM) {
      continue;
    }
    std::istringstream environment(content_of(entry.path() / "environ"));
    for (std::string item; std::getline(environment, item, '\0');) {
      if (item == variable) {
        return static_cast<pid_t>(std::stol(entry.path().filename().string()));
      }
    }
  }
  return 0;
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
  const auto alone = run_program(two_pass_words("alone", 5), "", directory.path(), kOneThread);
  EXPECT_EQ(alone.status, 0) << alone.err;
  const auto together = run_command(torchrun_words(two_pass_words("together", 5), "0"), "",
                                    directory.path(), kOneThread);
  EXPECT_EQ(together.status, 0) << together.err;
  EXPECT_EQ(rows_of(directory.path() / "together/metrics.jsonl"),
            rows_of(directory.path() / "alone/metrics.jsonl"));
  EXPECT_EQ(content_of(directory.path() / "together/model.safetensors"),
            content_of(directory.path() / "alone/model.safetensors"));
}

TEST(Torchrun, ARankThatIsKilledCostsNoMoreThanTheStepsSinceTheCheckpoint) {
  if (!std::filesystem::exists(kTorchrun)) {
    GTEST_SKIP() << kTorchrun << " is not installed";
  }
  const TestDirectory directory;
  write_fixture(directory.path());
  constexpr int kSteps = 200;
  const auto alone = run_program(two_pass_words("alone", kSteps), "", directory.path(), kOneThread);
  EXPECT_EQ(alone.status, 0) << alone.err;
  ProgramResult together;
  std::thread torchrun([&] {
    together = run_command(torchrun_words(two_pass_words("together", kSteps), "2"), "",
                           directory.path(), kOneThread);
  });
  const auto metrics = directory.path() / "together/metrics.jsonl";
  EXPECT_TRUE(wait_for_lines(metrics, 15));
  const auto victim = find_rank(directory.path(), 1);
  EXPECT_GT(victim, 0);
  if (victim > 0) {
    ::kill(victim, SIGKILL);
  }
  torchrun.join();
  EXPECT_EQ(together.status, 0) << together.err;
  expect_contains(together.err, "exitcode: -9");  // torchrun noticed
  EXPECT_EQ(rows_of(metrics), rows_of(directory.path() / "alone/metrics.jsonl"));
  EXPECT_EQ(content_of(directory.path() / "together/model.safetensors"),
            content_of(directory.path() / "alone/model.safetensors"));
}

}  // namespace
}  // namespace loopbank::testing
