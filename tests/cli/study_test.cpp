/// A study as a user runs it: a table and files, stopped and killed and continued, mistakes.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
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
using Words = std::vector<std::string>;

/// Models of one layer on the demo's data.
Words study_words(const std::string& systems, int64_t steps) {
  Words words = {"study", "--systems", systems, "--out", "study"};
  for (const char* item :
       {"model.hidden_size=16", "model.intermediate_size=32", "model.num_hidden_layers=1",
        "model.num_attention_heads=2", "training.batch=2", "training.sequence_length=32",
        "training.validation_rows=2", "training.checkpoint_every=5", "training.device=cpu"}) {
    words.emplace_back("--set");
    words.emplace_back(item);
  }
  words.emplace_back("--set");
  words.push_back(fmt::format("training.steps={}", steps));
  return words;
}

Words with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Starts a study, sends the signal once `file` exists, and gives the wait status.
int signal_when_there(Words words, const fs::path& directory, const fs::path& file, int signal) {
  const pid_t child = start_program(std::move(words), directory, "study");
  int status = 0;
  while (!fs::exists(directory / file)) {
    if (::waitpid(child, &status, WNOHANG) == child) {
      return status;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ::kill(child, signal);
  ::waitpid(child, &status, 0);
  return status;
}

TEST(StudyCommand, PrintsTheTableAndWritesResultsAndPage) {
  const TestDirectory directory;
  const auto run = run_program(study_words("isopar,loop3", 3), "", directory.path());
  ASSERT_EQ(run.status, 0) << run.err;
  for (const char* part : {"IsoPar", "Loop-3", "paper's own", "Findings, here and there"}) {
    EXPECT_NE(run.out.find(part), std::string::npos) << part << " in\n" << run.out;
  }
  // A line a system and nothing else, since stderr is no terminal here.
  EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 2) << run.err;
  EXPECT_NE(run.err.find("[2/2] Loop-3, seed 1: facts accuracy 0."), std::string::npos) << run.err;
  const auto out = directory.path() / "study";
  const auto json = nlohmann::json::parse(read_file(out / "results.json"));
  EXPECT_EQ(json["systems"].size(), 2U);
  EXPECT_NE(read_file(out / "report.html").find("Loop-3"), std::string::npos);

  // The command that results.json shows goes on with the study, from the same folder.
  auto command = json["command"].get<std::string>();
  const auto again =
      run_command({"/bin/sh", "-c", LOOPBANK_PROGRAM + command.substr(8)}, "", directory.path());
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_NE(again.err.find("[2/2] Loop-3, seed 1: "), std::string::npos) << again.err;
  EXPECT_NE(again.err.find("(done before)"), std::string::npos) << again.err;
  EXPECT_EQ(again.out, run.out);
}

TEST(StudyCommand, SystemsAtOnceEndAsOneAfterAnother) {
  const TestDirectory directory;
  const auto words = study_words("isopar,loop3,mem-g3", 6);
  const auto model = [&](const std::string& system) {
    return read_file(directory.path() / "study/benchmark/seed-1/systems" / system /
                     "model.safetensors");
  };
  const auto alone = run_program(with(words, {"--threads", "1"}), "", directory.path());
  ASSERT_EQ(alone.status, 0) << alone.err;
  std::map<std::string, std::string> expected;
  for (const auto* system : {"isopar", "loop3", "mem-g3"}) {
    expected[system] = model(system);
  }
  fs::remove_all(directory.path() / "study/benchmark/seed-1/systems");
  const auto together =
      run_program(with(words, {"--threads", "2", "--at-once", "2"}), "", directory.path());
  ASSERT_EQ(together.status, 0) << together.err;
  EXPECT_NE(together.err.find("[3/3] "), std::string::npos) << together.err;
  for (const auto& [system, weights] : expected) {
    EXPECT_TRUE(model(system) == weights) << system;
  }
  // A system that is asked for alone keeps its share of the threads.
  fs::remove_all(directory.path() / "study/benchmark/seed-1/systems");
  const auto one = run_program(
      with(study_words("loop3", 6), {"--threads", "2", "--at-once", "2", "--json", "--quiet"}), "",
      directory.path());
  ASSERT_EQ(one.status, 0) << one.err;
  EXPECT_EQ(nlohmann::json::parse(one.out)["threads"], 1);
  EXPECT_TRUE(model("loop3") == expected["loop3"]);
}

TEST(StudyCommand, ProcessesShareAFolderAndNoRunIsDoneTwice) {
  const TestDirectory directory;
  const std::vector<std::string> systems = {"isopar", "loop3", "loop5", "isoflop", "mem-g3"};
  const auto words = with(study_words("isopar,loop3,loop5,isoflop,mem-g3", 40), {"--threads", "1"});
  const pid_t other = start_program(words, directory.path(), "other");
  const auto run = run_program(words, "", directory.path());
  int status = 0;
  ASSERT_EQ(::waitpid(other, &status, 0), other);
  EXPECT_EQ(status, 0) << read_file(directory.path() / "other.err");
  ASSERT_EQ(run.status, 0) << run.err;
  // Both tell of every run, and each was trained by one of them.
  for (const auto& err : {run.err, read_file(directory.path() / "other.err")}) {
    EXPECT_NE(err.find("[5/5] "), std::string::npos) << err;
  }
  const auto out = directory.path() / "study";
  EXPECT_EQ(nlohmann::json::parse(read_file(out / "results.json"))["finished"], true);
  for (const auto& system : systems) {
    std::set<int64_t> steps;
    size_t rows = 0;
    std::istringstream lines(
        read_file(out / "benchmark/seed-1/systems" / system / "metrics.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      const auto row = nlohmann::json::parse(line);
      if (row.contains("loss")) {
        steps.insert(row["step"].get<int64_t>());
        ++rows;
      }
    }
    EXPECT_EQ(steps.size(), 40U) << system;
    EXPECT_EQ(rows, 40U) << system;
  }
}

TEST(StudyCommand, AStudyFileOfOnesOwnWithTextAndTasks) {
  const TestDirectory directory;
  std::string text;
  for (int i = 0; i < 60; ++i) {
    text += fmt::format(
        "{{\"text\": \"Document {} tells of the number {} and of nothing else.\"}}\n", i, i * i);
  }
  fs::create_directories(directory.path() / "text");
  write_text(directory.path() / "text/some.train.jsonl", text);
  write_text(directory.path() / "text/some.val.jsonl", text.substr(0, text.find('\n', 800) + 1));
  fs::create_directories(directory.path() / "tasks");
  write_text(directory.path() / "tasks/mine.jsonl",
             "{\"id\": \"a\", \"context\": \"The number\", \"choices\": [\"9\", \"8\"], "
             "\"label\": 0}\n");
  write_text(directory.path() / "mine.toml",
             "[study]\nsystems = [\"isopar\", \"loop3\"]\n"
             "[text]\nknowledge = \"mine\"\nreasoning = \"mine\"\ntasks = [\"tasks\"]\n"
             "[model]\nvocab_size = 280\nhidden_size = 16\nintermediate_size = 32\n"
             "num_hidden_layers = 1\nnum_attention_heads = 2\nmax_position_embeddings = 64\n"
             "[training]\nsteps = 3\nbatch = 2\nsequence_length = 16\nvalidation_rows = 2\n");
  const auto run = run_program(
      {"study", "mine.toml", "--text", "text", "--seed", "4", "--out", "x", "--json", "--quiet"},
      "", directory.path());
  ASSERT_EQ(run.status, 0) << run.err;
  const auto json = nlohmann::json::parse(run.out);
  EXPECT_EQ(json["scale"], "mine");
  const auto& part = json["parts"][0];
  EXPECT_EQ(part["name"], "text");
  EXPECT_EQ(part["seeds"], nlohmann::json({4}));
  EXPECT_EQ(part["columns"][0]["key"], "mine_accuracy");
  EXPECT_GT(json["systems"][1]["mine_bpb"], 0.0);
  EXPECT_TRUE(part["data"]["recipe"]["text"]["held_out"].contains("some.val.jsonl"));
}

TEST(StudyCommand, ASystemThatFailsEndsTheOthersAndIsTold) {
  const TestDirectory directory;
  const auto words = with(study_words("isopar,loop3", 2), {"--threads", "2", "--at-once", "2"});
  ASSERT_EQ(run_program(words, "", directory.path()).status, 0);
  fs::remove_all(directory.path() / "study/benchmark/seed-1/systems");
  write_text(directory.path() / "study/benchmark/seed-1/systems/loop3",
             "in the way of the run's folder");
  const auto run = run_program(words, "", directory.path());
  EXPECT_NE(run.status, 0);
  EXPECT_NE(run.err.find("error: "), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("systems/loop3"), std::string::npos) << run.err;
}

TEST(StudyCommand, JsonStandsAloneOnStdout) {
  const TestDirectory directory;
  const auto run =
      run_program(with(study_words("mem-g3", 2), {"--json", "--quiet"}), "", directory.path());
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(run.err, "");
  EXPECT_EQ(nlohmann::json::parse(run.out),
            nlohmann::json::parse(read_file(directory.path() / "study/results.json")));
}

TEST(StudyCommand, KilledOrStoppedItGoesOnToTheSameWeights) {
  const TestDirectory directory;
  const auto whole = run_program(study_words("isopar", 200), "", directory.path());
  ASSERT_EQ(whole.status, 0) << whole.err;
  const auto model = fs::path("study/benchmark/seed-1/systems/isopar/model.safetensors");
  const auto expected = read_file(directory.path() / model);
  for (const int signal : {SIGKILL, SIGTERM}) {
    SCOPED_TRACE(signal);
    fs::remove_all(directory.path() / "study/benchmark/seed-1/systems");
    const auto status =
        signal_when_there(study_words("isopar", 200), directory.path(),
                          "study/benchmark/seed-1/systems/isopar/checkpoints/step-000005", signal);
    ASSERT_TRUE(WIFSIGNALED(status)) << read_file(directory.path() / "study.err");
    EXPECT_EQ(WTERMSIG(status), signal);
    EXPECT_FALSE(fs::exists(directory.path() / model));
    if (signal == SIGTERM) {
      EXPECT_NE(read_file(directory.path() / "study.err").find("Go on with: loopbank study"),
                std::string::npos);
    }
    const auto again = run_program(study_words("isopar", 200), "", directory.path());
    ASSERT_EQ(again.status, 0) << again.err;
    EXPECT_EQ(read_file(directory.path() / model), expected);
  }
}

TEST(StudyCommand, KeptToATimeItTellsThePlanAndGoesOnWithIt) {
  const TestDirectory directory;
  const auto first =
      run_program(with(study_words("isopar,loop3,mem-g3", 400), {"--time-limit", "0.1s"}), "",
                  directory.path());
  ASSERT_EQ(first.status, 0) << first.err;
  for (const char* part : {"This machine trains IsoPar at ", "3 systems of 400 steps would take ",
                           "neither do 200 steps of IsoPar and Loop-3 alone",
                           "Left out for lack of time: Mem (g0=3)."}) {
    EXPECT_NE(first.err.find(part), std::string::npos) << part << " in\n" << first.err;
  }
  EXPECT_NE(first.out.find("Steps were chosen for the time available (0:00): 200 of 400."),
            std::string::npos)
      << first.out;
  const auto json = nlohmann::json::parse(read_file(directory.path() / "study/results.json"));
  EXPECT_NE(json["command"].get<std::string>().find(" --time-limit 0.1s "), std::string::npos);
  EXPECT_EQ(json["systems"].size(), 2U);

  // Killed and called again with the same words: as many steps, those of the first call.
  fs::remove_all(directory.path() / "study/benchmark/seed-1/systems");
  const auto words = with(study_words("isopar,loop3", 400), {"--time-limit", "1h"});
  signal_when_there(words, directory.path(),
                    "study/benchmark/seed-1/systems/isopar/checkpoints/step-000004", SIGKILL);
  const auto again = run_program(words, "", directory.path());
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_NE(again.err.find("goes on with the 200 of 400 steps"), std::string::npos) << again.err;
  EXPECT_EQ(nlohmann::json::parse(
                read_file(directory.path() / "study/results.json"))["systems"][0]["steps"],
            200);
  const auto without = run_program(study_words("isopar", 400), "", directory.path());
  EXPECT_EQ(without.status, 2) << without.err;
  EXPECT_NE(without.err.find("expected --time-limit, with which the study was started"),
            std::string::npos)
      << without.err;
}

TEST(StudyCommand, DryRunPlansAndWritesNothing) {
  const TestDirectory directory;
  const auto plan =
      run_program({"study", "--scale", "paper", "--dry-run", "--json"}, "", directory.path());
  ASSERT_EQ(plan.status, 0) << plan.err;
  const auto json = nlohmann::json::parse(plan.out);
  EXPECT_EQ(json["systems"].size(), 10U);
  EXPECT_GT(json["gpu_hours"], 100.0);
  const auto table =
      run_program(with(study_words("loop5", 3), {"--dry-run"}), "", directory.path());
  EXPECT_EQ(table.status, 0) << table.err;
  EXPECT_NE(table.out.find("Loop-5"), std::string::npos) << table.out;
  EXPECT_TRUE(fs::is_empty(directory.path()));
}

TEST(StudyCommand, MistakesEndInOneLineAndAStatus) {
  const TestDirectory directory;
  const std::vector<std::pair<Words, std::string>> mistakes = {
      {{"study", "--systems", "lop3", "--out", "x"}, "\"lop3\". Did you mean \"loop3\"?"},
      {{"study", "--scale", "paper", "--out", "x"}, "--scale paper --dry-run"},
      {{"study", "--scale", "dmo", "--out", "x"}, "--scale"},
      {{"study"}, "expected --out DIR"},
      {{"study", "--seeds", "-1", "--out", "x"}, "--seeds"},
      {{"study", "--text", "x", "--out", "x"}, "expected --text with --scale small"},
      {{"study", "--out", "x", "--set", "training.step=1"}, "Did you mean \"steps\"?"},
      {{"study", "--out", "x", "--set", "data.train=y"}, "\"data.train=y\""},
      {{"study", "--out", "x", "--time-limit", "300"}, "expected a time such as 300s"},
      {{"study", "--out", "x", "--time-limit", "-5min"}, "got \"-5min\""},
      {{"study", "--out", "x", "--time-limit", "soon"}, "got \"soon\""},
      {{"study", "--sytems", "loop3"}, "Did you mean \"--systems\"?"}};
  for (const auto& [words, part] : mistakes) {
    const auto run = run_program(words, "", directory.path());
    EXPECT_EQ(run.status, 2) << run.err;
    EXPECT_NE(run.err.find(part), std::string::npos) << "expected: " << part << "\nin: " << run.err;
    EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
    EXPECT_EQ(run.out, "");
  }
  EXPECT_TRUE(fs::is_empty(directory.path()));
}

TEST(StudyCommand, TextThatIsNotThereIsNamedBeforeAnythingIsWritten) {
  const TestDirectory directory;
  const auto run = run_program({"study", "--scale", "small", "--text", "nowhere", "--out", "x"}, "",
                               directory.path());
  EXPECT_EQ(run.status, 4) << run.err;
  EXPECT_NE(run.err.find("nowhere: expected a folder with text"), std::string::npos) << run.err;
  EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
  EXPECT_TRUE(fs::is_empty(directory.path()));
}

TEST(StudyCommand, AFolderThatCannotBeWrittenIsNamed) {
  const TestDirectory directory;
  write_text(directory.path() / "study", "a file");
  const auto run = run_program(study_words("isopar", 1), "", directory.path());
  EXPECT_EQ(run.status, 5) << run.err;
  EXPECT_NE(run.err.find("study"), std::string::npos) << run.err;
  EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
}

}  // namespace
}  // namespace loopbank::testing
