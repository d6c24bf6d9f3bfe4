/// data tokenize into shards by the real program: killed, stopped, on a full disk, with damage.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "loopbank/support/random.h"
#include "program.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

constexpr size_t kManyShards = 40;
constexpr int kLineSkipped = 8;  // the last one of the corpus is no document

/// Enough text for kManyShards shards of the command below.
class Corpus {
 public:
  Corpus() {
    RandomStream random(31);
    std::string lines;
    while (lines.size() < kManyShards * 52'000) {
      lines += "{\"text\": \"" + std::string(random.below(9'000), 'x') + "\"}\n";
    }
    write_text(directory.path() / "corpus.jsonl", lines + "nonsense\n");
  }

  static Words command(const std::string& out) {
    return {"data", "tokenize", "corpus.jsonl",   "--tokenizer", "bytes",      "--out",
            out,    "--json",   "--shard-tokens", "50000",       "--skip-bad", "1"};
  }
  [[nodiscard]] ProgramResult run(const std::string& out, const Words& more = {}) const {
    auto words = command(out);
    words.insert(words.end(), more.begin(), more.end());
    return run_program(words, "", directory.path());
  }
  [[nodiscard]] fs::path folder(const std::string& out) const { return directory.path() / out; }

  /// Every file of a folder of shards; its lock holds nothing.
  [[nodiscard]] std::map<std::string, std::string> contents(const std::string& out) const {
    std::map<std::string, std::string> all;
    for (const auto& entry : fs::directory_iterator(folder(out))) {
      if (entry.path().filename() != ".lock") {
        all[entry.path().filename().string()] = content_of(entry.path());
      }
    }
    return all;
  }

  TestDirectory directory;
};

std::string shard(size_t index) {
  return fmt::format("shard-{:05}.tokens", index);
}

/// Waits until the file is there or the process has ended; whether it runs still.
bool runs_until(const fs::path& file, pid_t process, int& status) {
  while (!fs::exists(file)) {
    if (::waitpid(process, &status, WNOHANG) == process) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return true;
}

TEST(DataTokenize, KilledAtAnyMomentItGoesOnToTheSameFiles) {
  const Corpus corpus;
  ASSERT_EQ(corpus.run("whole", {"--threads", "1"}).status, kLineSkipped);
  const auto expected = corpus.contents("whole");
  ASSERT_GT(expected.size(), kManyShards);
  RandomStream random(32);
  int num_kills = 0;
  // Each process dies some moments after one more group of shards is in place.
  for (size_t next = 2; next < kManyShards - 3; next += 5) {
    const auto process = start_program(Corpus::command("cut"), corpus.directory.path(), "cut");
    int status = 0;
    if (!runs_until(corpus.folder("cut") / shard(next), process, status)) {
      FAIL() << "ended by itself before shard " << next;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(3'000)));
    ::kill(process, SIGKILL);
    ASSERT_EQ(::waitpid(process, &status, 0), process);
    num_kills += WIFSIGNALED(status) ? 1 : 0;
  }
  EXPECT_GT(num_kills, 3);
  const auto last = corpus.run("cut");
  ASSERT_EQ(last.status, kLineSkipped) << last.err;
  EXPECT_TRUE(corpus.contents("cut") == expected);
  const auto report = Json::parse(last.out);
  EXPECT_EQ(report["shards"], expected.size() - 2);
  EXPECT_GT(report["resumed_shards"], 20);
  EXPECT_EQ(report["bad_lines"], 1);
  EXPECT_NE(last.err.find("corpus.jsonl:"), std::string::npos) << last.err;
}

TEST(DataTokenize, ASignalEndsItWithNothingHalfDone) {
  const Corpus corpus;
  const auto process = start_program(Corpus::command("cut"), corpus.directory.path(), "cut");
  int status = 0;
  ASSERT_TRUE(runs_until(corpus.folder("cut") / shard(2), process, status));
  ::kill(process, SIGTERM);
  ASSERT_EQ(::waitpid(process, &status, 0), process);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
  for (const auto& [name, content] : corpus.contents("cut")) {
    EXPECT_TRUE(name == "progress.json" || name.starts_with("shard-")) << name;
  }
  EXPECT_NE(content_of(corpus.directory.path() / "cut.err").find("continues after them"),
            std::string::npos);
}

TEST(DataTokenize, AFullDiskEndsInOneLineAndTheRestFollows) {
  const Corpus corpus;
  ASSERT_EQ(corpus.run("whole").status, kLineSkipped);
  const auto expected = corpus.contents("whole");
  // A limit on the size of files, which fails a write as a full disk does; units of 512 bytes.
  const auto limit = expected.at(shard(0)).size() / 512 + 1;
  Words words{"/bin/sh", "-c", fmt::format("ulimit -f {} && exec \"$0\" \"$@\"", limit),
              LOOPBANK_PROGRAM};
  const auto arguments = Corpus::command("full");
  words.insert(words.end(), arguments.begin(), arguments.end());
  const auto full = run_command(words, "", corpus.directory.path());
  EXPECT_EQ(full.status, 4);
  EXPECT_TRUE(full.err.starts_with("error: full/shard-000")) << full.err;
  EXPECT_NE(full.err.find("A shard of 50000 tokens takes 100.0 kB, and "), std::string::npos)
      << full.err;
  EXPECT_NE(full.err.find("finished shards are kept"), std::string::npos) << full.err;
  EXPECT_TRUE(fs::exists(corpus.folder("full") / shard(0)));
  ASSERT_EQ(corpus.run("full").status, kLineSkipped);
  EXPECT_TRUE(corpus.contents("full") == expected);
}

TEST(DataTokenize, AChangedByteIsFoundByInspectAndOnResume) {
  const Corpus corpus;
  ASSERT_EQ(corpus.run("out/").status, kLineSkipped);
  const auto good = run_program({"data", "inspect", "out", "--json", "--tokenizer", "bytes"}, "",
                                corpus.directory.path());
  ASSERT_EQ(good.status, 0) << good.err;
  const auto index = Json::parse(content_of(corpus.folder("out") / "index.json"));
  EXPECT_EQ(Json::parse(good.out)["tokens"], index["tokens"]);
  EXPECT_EQ(Json::parse(good.out)["shards"], index["shards"].size());
  auto content = content_of(corpus.folder("out") / shard(5));
  content[1000] ^= 4;
  write_text(corpus.folder("out") / shard(5), content);
  const std::string message =
      shard(5) + ": expected sha256 " + index["shards"][5]["sha256"].get<std::string>() + ", got ";
  for (const auto& result :
       {run_program({"data", "inspect", "out"}, "", corpus.directory.path()), corpus.run("out/")}) {
    EXPECT_EQ(result.status, 4);
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find(message), std::string::npos) << result.err;
  }
}

TEST(DataTokenize, ABadLineEndsItUnlessItMayBeSkippedAndThenTheStatusTells) {
  const TestDirectory directory;
  write_text(directory.path() / "a.jsonl",
             "{\"text\": \"one\", \"score\": NaN, \"id\": \"\\ud800\"}\nnonsense\n");
  const auto tokenize = [&](const Words& more) {
    Words words = {"data", "tokenize", "a.jsonl", "--tokenizer", "bytes", "--out", "a.tokens"};
    words.insert(words.end(), more.begin(), more.end());
    return run_program(words, "", directory.path());
  };
  const auto ended = tokenize({});
  EXPECT_EQ(ended.status, 4);
  EXPECT_EQ(ended.err,
            "error: a.jsonl:2: broken JSON at column 1: unexpected 'n'; expected a value. Correct "
            "or drop the line, or pass over N such lines with --skip-bad N.\n");
  EXPECT_FALSE(fs::exists(directory.path() / "a.tokens"));
  const auto skipped = tokenize({"--skip-bad", "1"});
  EXPECT_EQ(skipped.status, kLineSkipped) << skipped.err;
  EXPECT_NE(skipped.out.find("4 tokens of 1 documents"), std::string::npos) << skipped.out;
  EXPECT_NE(skipped.out.find("skipped: 1 bad lines, 0 empty documents"), std::string::npos);
  write_text(directory.path() / "a.jsonl", "{\"text\": \"one\"}\n");
  EXPECT_EQ(tokenize({"--skip-bad", "1"}).status, 0);
  EXPECT_EQ(tokenize({"--skip-bad", "123456789012345678901234567890"}).status, 2);
}

TEST(DataTokenize, AnotherJobsFolderIsRefusedInOneLine) {
  const Corpus corpus;
  ASSERT_EQ(corpus.run("out").status, kLineSkipped);
  const auto result = corpus.run("out", {"--no-end-of-text"});
  EXPECT_EQ(result.status, 2);
  EXPECT_TRUE(result.err.starts_with("error: out: expected an end-of-text token")) << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
  EXPECT_EQ(corpus.run("new", {"--shard-tokens", "0"}).status, 2);
}

}  // namespace
}  // namespace loopbank::testing
