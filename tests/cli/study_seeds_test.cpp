/// Seeds of a study as a user gives them: how many, which, more of them later.

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "loopbank/support/files.h"
#include "program.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// Two systems of one layer, scored at their end alone.
std::vector<std::string> seeds_words(const std::vector<std::string>& more, int64_t steps = 3) {
  std::vector<std::string> words = {"study", "--systems", "isopar,loop3", "--out", "study"};
  for (const auto* item :
       {"model.hidden_size=16", "model.intermediate_size=32", "model.num_hidden_layers=1",
        "model.num_attention_heads=2", "model.vocab_size=280", "training.batch=2",
        "training.sequence_length=32", "training.validation_rows=2", "training.device=cpu",
        "training.precision=fp32", "benchmark.people=8", "benchmark.places=8",
        "benchmark.instances=8", "benchmark.training_bytes=20000",
        "benchmark.validation_bytes=4000", "study.exits=false", "study.score_points=0"}) {
    words.insert(words.end(), {"--set", item});
  }
  words.insert(words.end(), {"--set", fmt::format("training.steps={}", steps)});
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

Json seeds_in_results(const fs::path& directory) {
  const auto json = Json::parse(read_file(directory / "study/results.json"));
  EXPECT_EQ(json["finished"], true);
  return json["parts"][0]["seeds"];
}

size_t occurrences_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

TEST(StudySeedsCommand, ANumberIsHowManyAndMoreAreAddedLater) {
  const TestDirectory directory;
  const auto first = run_program(seeds_words({"--seeds", "2"}), "", directory.path());
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_EQ(seeds_in_results(directory.path()), Json({1, 2}));
  EXPECT_EQ(occurrences_of(first.err, ", time left "), 3U) << first.err;  // the last leaves none
  const auto more = run_program(seeds_words({"--seeds", "3"}), "", directory.path());
  ASSERT_EQ(more.status, 0) << more.err;
  EXPECT_EQ(seeds_in_results(directory.path()), Json({1, 2, 3}));
  EXPECT_EQ(occurrences_of(more.err, "(done before)"), 4U) << more.err;
}

TEST(StudySeedsCommand, AListIsWhichAndSoIsSeed) {
  const TestDirectory directory;
  const auto one = run_program(seeds_words({"--seed", "3"}), "", directory.path());
  ASSERT_EQ(one.status, 0) << one.err;
  EXPECT_EQ(seeds_in_results(directory.path()), Json({3}));
  const auto list = run_program(seeds_words({"--seeds", "0,5"}), "", directory.path());
  ASSERT_EQ(list.status, 0) << list.err;
  EXPECT_EQ(seeds_in_results(directory.path()), Json({0, 5, 3}));
}

TEST(StudySeedsCommand, AddSeedGoesOnWithWhatTheFolderWasStartedWith) {
  const TestDirectory directory;
  ASSERT_EQ(run_program(seeds_words({"--seed", "4"}), "", directory.path()).status, 0);
  const auto added = run_program({"study", "add-seed", "study"}, "", directory.path());
  ASSERT_EQ(added.status, 0) << added.err;
  EXPECT_EQ(seeds_in_results(directory.path()), Json({4, 5}));
  EXPECT_EQ(occurrences_of(added.err, "(done before)"), 2U) << added.err;
  // The same models, of as many steps.
  const auto rows = Json::parse(read_file(directory.path() / "study/results.json"))["systems"];
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[1]["name"], "loop3");
  EXPECT_EQ(rows[1]["hidden_size"], 16);
  EXPECT_EQ(rows[1]["steps"], 3);

  // Moved, and two more; then once more what results.json calls its command, which adds none.
  fs::rename(directory.path() / "study", directory.path() / "moved");
  const auto two = run_program({"study", "add-seed", "moved", "--count", "2", "--json", "--quiet"},
                               "", directory.path());
  ASSERT_EQ(two.status, 0) << two.err;
  const auto json = Json::parse(two.out);
  EXPECT_EQ(json["parts"][0]["seeds"], Json({4, 5, 6, 7}));
  const auto command = json["command"].get<std::string>();
  const auto again =
      run_command({"/bin/sh", "-c", LOOPBANK_PROGRAM + command.substr(8)}, "", directory.path());
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(occurrences_of(again.err, "(done before)"), 8U) << again.err;
}

TEST(StudySeedsCommand, SystemsOfSeveralCallsAreRemembered) {
  const TestDirectory directory;
  const auto one = run_program(seeds_words({}), "", directory.path());
  ASSERT_EQ(one.status, 0) << one.err;
  auto words = seeds_words({});
  words[2] = "loop5";
  ASSERT_EQ(run_program(words, "", directory.path()).status, 0);
  const auto stored = Json::parse(read_file(directory.path() / "study/study.json"));
  EXPECT_EQ(stored["systems"], Json({"isopar", "loop3", "loop5"}));
  EXPECT_EQ(stored["seeds"], Json({{"benchmark", {1}}}));
  // What is refused is not remembered.
  words = seeds_words({"--seeds", "2"}, 4);
  EXPECT_EQ(run_program(words, "", directory.path()).status, 2);
  EXPECT_EQ(Json::parse(read_file(directory.path() / "study/study.json")), stored);
}

TEST(StudySeedsCommand, ASeedThatASecondProcessAddsMeanwhileIsDoneOnceAndShown) {
  const TestDirectory directory;
  const auto words = seeds_words({"--seeds", "3", "--threads", "1"}, 60);
  const pid_t first = start_program(words, directory.path(), "first");
  int status = 0;
  while (!fs::exists(directory.path() / "study/study.json")) {
    ASSERT_EQ(::waitpid(first, &status, WNOHANG), 0) << read_file(directory.path() / "first.err");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const auto second =
      run_program({"study", "add-seed", "study", "--threads", "1"}, "", directory.path());
  ASSERT_EQ(::waitpid(first, &status, 0), first);
  EXPECT_EQ(status, 0) << read_file(directory.path() / "first.err");
  ASSERT_EQ(second.status, 0) << second.err;
  EXPECT_EQ(seeds_in_results(directory.path()), Json({1, 2, 3, 4}));
  for (int seed = 1; seed <= 4; ++seed) {
    for (const auto* system : {"isopar", "loop3"}) {
      std::set<int64_t> steps;
      size_t rows = 0;
      std::istringstream lines(
          read_file(directory.path() /
                    fmt::format("study/benchmark/seed-{}/systems/{}/metrics.jsonl", seed, system)));
      for (std::string line; std::getline(lines, line);) {
        const auto row = Json::parse(line);
        if (row.contains("loss")) {
          steps.insert(row["step"].get<int64_t>());
          ++rows;
        }
      }
      EXPECT_EQ(steps.size(), 60U) << system << ", seed " << seed;
      EXPECT_EQ(rows, 60U) << system << ", seed " << seed;
    }
  }
}

TEST(StudySeedsCommand, MistakesEndInOneLine) {
  const TestDirectory directory;
  fs::create_directories(directory.path() / "empty");
  write_text(directory.path() / "old/results.json", "{}");
  write_text(directory.path() / "old/benchmark/seed-3/x", "");
  write_text(directory.path() / "broken/study.json", "{\"scale\": 3}");
  using Words = std::vector<std::string>;
  const std::vector<std::pair<Words, std::string>> mistakes = {
      {{"study", "add-seed", "nowhere"},
       "nowhere: expected the folder of a study, got no such folder."},
      {{"study", "add-seed", "old/results.json"}, "got a file."},
      {{"study", "add-seed", "empty"},
       "empty: expected the folder of a study, with a study.json, got none there. Start one"},
      {{"study", "add-seed", "old"}, "made by an earlier version"},
      {{"study", "add-seed", "broken"},
       "study.json: expected what a study was started with, got number as \"scale\""},
      {{"study", "add-seed"}, "DIR"},
      {{"study", "add-seed", "empty", "--count", "-1"}, "--count"},
      {{"study", "--seeds", "3", "--out", "old"},
       "--seeds 3: expected --seed 3, the one seed that"},
      {{"study", "--seeds", "0", "--out", "x"}, "--seed 0 is the seed 0."},
      {{"study", "--seeds", "2", "--seed", "1", "--out", "x"}, "--seed"}};
  for (const auto& [words, part] : mistakes) {
    const auto run = run_program(words, "", directory.path());
    EXPECT_NE(run.status, 0) << run.out;
    EXPECT_NE(run.err.find(part), std::string::npos) << "expected: " << part << "\nin: " << run.err;
    EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
  }
  EXPECT_FALSE(fs::exists(directory.path() / "x"));
  EXPECT_FALSE(fs::exists(directory.path() / "nowhere"));
}

}  // namespace
}  // namespace loopbank::testing
