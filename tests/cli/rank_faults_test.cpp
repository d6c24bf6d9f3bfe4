/// Training over ranks when something happens to one of them: the others end within the time-out with
/// one line that names the rank and the cause.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <csignal>
#include <set>

#include "fixtures.h"
#include "program.h"
#include "rank_processes.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

constexpr int kTimeout = 3;  // training.rank_timeout, s
/// A rank is named within the time-out and a few heartbeats more, on a machine that does other things
/// as well.
constexpr double kNamedWithin = kTimeout + 8.0;

std::vector<std::string> rank_words(const std::vector<std::string>& settings = {}) {
  std::vector<std::string> words = {"train", "run.toml", "--out", "run", "--quiet"};
  for (const auto& setting :
       {std::string("training.steps=100000"), std::string("training.batch=4"),
        std::string("training.micro_batch=1"), std::string("training.checkpoint_every=50"),
        std::string("training.validate_every=0"),
        fmt::format("training.rank_timeout={}", kTimeout)}) {
    words.insert(words.end(), {"--set", setting});
  }
  for (const auto& setting : settings) {
    words.insert(words.end(), {"--set", setting});
  }
  return words;
}

class RankFaults : public ::testing::Test {
 protected:
  void SetUp() override { write_fixture(directory_.path()); }

  [[nodiscard]] const fs::path& folder() const { return directory_.path(); }
  [[nodiscard]] fs::path metrics() const { return folder() / "run/metrics.jsonl"; }

  /// n equal ranks, once they train.
  [[nodiscard]] std::unique_ptr<RankProcesses> train_with(size_t num_ranks) const {
    auto ranks = std::make_unique<RankProcesses>(
        folder(), std::vector<RankStart>(num_ranks, {.words = rank_words()}));
    EXPECT_TRUE(wait_for_lines(metrics(), 3));
    return ranks;
  }

  TestDirectory directory_;
};

/// That the rank ended by an error of ranks, in one line that has all these parts.
void expect_line(const RankEnd& end, const std::vector<std::string>& parts,
                 int status = exit_status(ErrorCode::kRanks)) {
  EXPECT_TRUE(end.ended);
  EXPECT_EQ(end.status, status) << end.err;
  EXPECT_LT(end.seconds, kNamedWithin);
  EXPECT_EQ(std::count(end.err.begin(), end.err.end(), '\n'), 1) << end.err;
  EXPECT_EQ(end.err.rfind("error: ", 0), 0U) << end.err;
  for (const auto& part : parts) {
    expect_contains(end.err, part);
  }
}

TEST_F(RankFaults, ARankThatIsKilled) {
  const auto ranks = train_with(3);
  const auto victim = ranks->process(2);
  ranks->signal(2, SIGKILL);
  const auto ends = ranks->wait(seconds(20));
  EXPECT_EQ(ends[2].status, 128 + SIGKILL);
  for (const size_t rank : {0, 1}) {
    expect_line(ends[rank],
                {fmt::format("rank 2 ("), fmt::format("process {})", victim),
                 "ended without a word: killed, out of memory or crashed.", "--resume"});
    EXPECT_LT(ends[rank].seconds, kTimeout + 2.0);  // at once, not after the time-out
  }
}

TEST_F(RankFaults, TheRankThatHoldsTheStoreIsKilled) {
  const auto ranks = train_with(3);
  const auto victim = ranks->process(0);
  ranks->signal(0, SIGKILL);
  const auto ends = ranks->wait(seconds(20));
  for (const size_t rank : {1, 2}) {
    expect_line(ends[rank], {"rank 0 (", fmt::format("process {})", victim),
                             "ended without a word: killed, out of memory or crashed"});
  }
}

TEST_F(RankFaults, ARankThatIsFrozen) {
  const auto ranks = train_with(3);
  const auto victim = ranks->process(1);
  ranks->signal(1, SIGSTOP);
  const auto ends = ranks->wait(seconds(20));
  EXPECT_FALSE(ends[1].ended);
  for (const size_t rank : {0, 2}) {
    expect_line(ends[rank], {"rank 1 (", fmt::format("process {})", victim),
                             "has not answered for ", "frozen or cut off."});
  }
  // It wakes up and finds that they are gone.
  ranks->signal(1, SIGCONT);
  const auto later = ranks->wait(seconds(20));
  expect_line(later[1], {"rank "});
}

TEST_F(RankFaults, TheRankThatHoldsTheStoreIsFrozen) {
  const auto ranks = train_with(2);
  const auto victim = ranks->process(0);
  ranks->signal(0, SIGSTOP);
  const auto ends = ranks->wait(seconds(20));
  expect_line(ends[1], {"the store at 127.0.0.1:", "rank 0: ", fmt::format("process {})", victim),
                        "has not answered for ", "frozen or cut off."});
}

TEST_F(RankFaults, ARankThatStandsStillForLessThanTheTimeOutIsWaitedFor) {
  const auto ranks = train_with(2);
  ranks->signal(1, SIGSTOP);
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  ranks->signal(1, SIGCONT);
  const auto before = content_of(metrics());
  const auto lines = std::count(before.begin(), before.end(), '\n');
  EXPECT_TRUE(wait_for_lines(metrics(), lines + 5));
}

TEST_F(RankFaults, AFullDiskUnderOneRank) {
  std::vector<RankStart> starts(3, {.words = rank_words()});
  starts[0].file_bytes = 20000;  // the first checkpoint does not fit
  RankProcesses ranks(folder(), starts);
  const auto ends = ranks.wait(seconds(40));
  const auto status = exit_status(ErrorCode::kCheckpoint);
  EXPECT_EQ(ends[0].status, status) << ends[0].err;
  expect_contains(ends[0].err, "File too large");
  for (const size_t rank : {1, 2}) {
    EXPECT_TRUE(ends[rank].ended);
    EXPECT_NE(ends[rank].status, 0);
    expect_contains(ends[rank].err, "rank 0");
    expect_contains(ends[rank].err, "File too large");
    EXPECT_EQ(std::count(ends[rank].err.begin(), ends[rank].err.end(), '\n'), 1) << ends[rank].err;
  }
}

TEST_F(RankFaults, ANetworkThatIsCut) {
  TwoNetworks networks;
  if (!networks.missing().empty()) {
    GTEST_SKIP() << networks.missing();
  }
  RankProcesses ranks(folder(),
                      {{.words = rank_words(), .network = networks.first()},
                       {.words = rank_words(), .network = networks.second()}},
                      networks.first_address());
  ASSERT_TRUE(wait_for_lines(metrics(), 3));
  networks.cut();
  const auto ends = ranks.wait(seconds(20));
  expect_line(ends[0], {"rank 1 (", "has not answered for ", "frozen or cut off."});
  expect_line(ends[1], {"the store at 10.177.0.1:", "rank 0: ", "has not answered for ",
                        "frozen or cut off."});
}

TEST_F(RankFaults, ASlowNetworkChangesNoLoss) {
  TwoNetworks networks;
  if (!networks.missing().empty()) {
    GTEST_SKIP() << networks.missing();
  }
  auto words = rank_words({"training.steps=4", "training.checkpoint_every=0"});
  {
    RankProcesses ranks(folder(), {{.words = words}, {.words = words}});
    for (const auto& end : ranks.wait(seconds(60))) {
      ASSERT_EQ(end.status, 0) << end.err;
    }
  }
  words[3] = "slow";
  const auto how = networks.slow_down(1'000'000);
  RankProcesses ranks(folder(),
                      {{.words = words, .network = networks.first()},
                       {.words = words, .network = networks.second()}},
                      networks.first_address());
  for (const auto& end : ranks.wait(seconds(60))) {
    ASSERT_EQ(end.status, 0) << how << ": " << end.err;
  }
  EXPECT_EQ(content_of(folder() / "run/model.safetensors"),
            content_of(folder() / "slow/model.safetensors"));
}

TEST_F(RankFaults, WithoutAnAddressTheRanksDoNotStart) {
  const auto result = run_program(rank_words(), "", folder(), {{"RANK", "0"}, {"WORLD_SIZE", "2"}});
  EXPECT_EQ(result.status, exit_status(ErrorCode::kConfig));
  EXPECT_EQ(result.err,
            "error: WORLD_SIZE = 2: expected MASTER_ADDR beside it, the host of rank 0, got none. "
            "Start the ranks with torchrun, or set MASTER_ADDR and MASTER_PORT.\n");
  EXPECT_FALSE(fs::exists(folder() / "run"));
}

TEST_F(RankFaults, DifferentConfigsAndDataAreFoundBeforeTheFirstStep) {
  struct Difference {
    std::string setting;
    std::string named;
  };
  for (const auto& [setting, named] : {Difference{"optimizer.clip_norm=0.5", "clip_norm"},
                                       Difference{"data.train=validation2.tokens", "data"}}) {
    fs::copy_file(folder() / "validation.tokens", folder() / "validation2.tokens",
                  fs::copy_options::overwrite_existing);
    RankProcesses ranks(folder(), {{.words = rank_words()}, {.words = rank_words({setting})}});
    for (const auto& end : ranks.wait(seconds(30))) {
      EXPECT_TRUE(end.ended);
      EXPECT_EQ(end.err.rfind("error: ", 0), 0U) << end.err;
      expect_contains(end.err, "rank 1");
      expect_contains(end.err, named);
    }
    EXPECT_FALSE(fs::exists(metrics()));
  }
}

TEST_F(RankFaults, ACheckpointWithHalfAnOptimizerIsSetAside) {
  auto words = rank_words({"training.steps=4", "training.checkpoint_every=2"});
  words.emplace_back("--resume");
  {
    RankProcesses ranks(folder(), {{.words = words}, {.words = words}});
    for (const auto& end : ranks.wait(seconds(60))) {
      ASSERT_EQ(end.status, 0) << end.err;
    }
  }
  const auto whole = content_of(folder() / "run/model.safetensors");
  const auto newest = folder() / "run/checkpoints/step-000004";
  const auto optimizer = newest / "optimizer.safetensors";
  truncate_file(optimizer, fs::file_size(optimizer) / 2);
  fs::remove(folder() / "run/model.safetensors");
  // As many ranks as it likes.
  RankProcesses ranks(folder(), {{.words = words}, {.words = words}, {.words = words}});
  const auto ends = ranks.wait(seconds(60));
  for (const auto& end : ends) {
    EXPECT_EQ(end.status, 0) << end.err;
  }
  expect_contains(ends[0].err, "step-000004");
  expect_contains(ends[0].err, "Trying the checkpoint before.");
  EXPECT_TRUE(fs::exists(folder() / "run/checkpoints/step-000004.damaged"));
  EXPECT_EQ(content_of(folder() / "run/model.safetensors").size(), whole.size());
}

}  // namespace
}  // namespace loopbank::testing
