#include "loopbank/study/runner.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "loopbank/support/files.h"
#include "small_study.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::expect_contains;
using testing::small_study;
using testing::TestDirectory;

nlohmann::json read_json(const fs::path& path) {
  return nlohmann::json::parse(read_file(path));
}

/// results.json without what a clock measured.
nlohmann::json timeless_results(const fs::path& out) {
  auto json = read_json(out / "results.json");
  for (auto& system : json["systems"]) {
    for (const char* key : {"tokens_per_second", "seconds", "evaluation_seconds"}) {
      system.erase(key);
    }
  }
  return json;
}

TEST(RunStudy, EverySystemIsTrainedScoredAndWritten) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  auto options = small_study(out, {});
  options.overrides.emplace_back("training.steps=2");
  std::vector<std::string> told;
  options.on_system = [&](const SystemDone& done) {
    told.push_back(done.result.name);
    EXPECT_EQ(done.number, static_cast<int64_t>(told.size()));
    EXPECT_EQ(done.total, 10);
    EXPECT_FALSE(done.was_done);
  };
  const auto outcome = run_study(options);
  EXPECT_TRUE(outcome.finished);
  EXPECT_EQ(told.size(), 10U);

  const auto json = read_json(out / "results.json");
  EXPECT_EQ(json["scale"], "demo");
  EXPECT_EQ(json["seed"], 3);
  EXPECT_EQ(json["data"]["recipe"]["benchmark"]["facts"]["people"], 8);
  ASSERT_EQ(json["systems"].size(), 10U);
  for (size_t i = 0; i < 10; ++i) {
    const auto& row = json["systems"][i];
    SCOPED_TRACE(row["name"].get<std::string>());
    EXPECT_EQ(row["name"], told[i]);
    EXPECT_EQ(row["steps"], 2);
    EXPECT_EQ(row["tokens"], 2 * 2 * 16);
    EXPECT_EQ(row["facts_instances"], 8);
    EXPECT_EQ(row["reasoning_instances"], 8);
    // Two steps teach nothing yet: near a uniform guess over 280 tokens, which all bytes take.
    EXPECT_GT(row["facts_bpb"], 1.0);
    EXPECT_LT(row["facts_bpb"], 16.0);
    EXPECT_GT(row["standard_errors"]["facts_bpb"], 0.0);
    EXPECT_GT(row["tokens_per_second"], 0.0);
    const bool adaptive = told[i].starts_with("loop") || told[i].starts_with("mem");
    EXPECT_EQ(row["mean_loops"] > 1.0, adaptive);
    const auto folder = out / "systems" / told[i];
    for (const char* name : {"model.safetensors", "metrics.jsonl", "scores/metrics.json"}) {
      EXPECT_TRUE(fs::exists(folder / name)) << name;
    }
    // What the table says is what the score files say.
    const auto scores = read_json(folder / "scores" / "metrics.json")["results"];
    EXPECT_EQ(scores[0]["task"], "facts");
    EXPECT_EQ(scores[0]["value"], row["facts_accuracy"]);
    EXPECT_EQ(scores[0]["bpb"], row["facts_bpb"]);
    EXPECT_EQ(scores[1]["task"], "reasoning");
    EXPECT_EQ(scores[1]["value"], row["reasoning_accuracy"]);
    EXPECT_EQ(scores[1]["bpb"], row["reasoning_bpb"]);
  }
  const auto page = read_file(out / "report.html");
  expect_contains(page, "Mem (g0=3)");
}

TEST(RunStudy, WhatIsDoneIsNotDoneAgainAndOtherSystemsJoin) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  EXPECT_EQ(run_study(small_study(out, {"loop3"})).result.systems.size(), 1U);
  const auto trained = fs::last_write_time(out / "systems/loop3/model.safetensors");
  const auto tokens = fs::last_write_time(out / "data/train.tokens");
  const auto before = read_json(out / "systems/loop3/result.json");

  auto options = small_study(out, {"loop3", "isopar"});
  std::vector<bool> was_done;
  options.on_system = [&](const SystemDone& done) { was_done.push_back(done.was_done); };
  const auto outcome = run_study(options);
  EXPECT_EQ(was_done, (std::vector<bool>{false, true}));  // in the table's order: IsoPar is new
  ASSERT_EQ(outcome.result.systems.size(), 2U);
  EXPECT_EQ(outcome.result.systems[0].name, "isopar");
  EXPECT_EQ(fs::last_write_time(out / "systems/loop3/model.safetensors"), trained);
  EXPECT_EQ(fs::last_write_time(out / "data/train.tokens"), tokens);
  EXPECT_EQ(read_json(out / "systems/loop3/result.json"), before);
}

TEST(RunStudy, StoppedAnywhereAndContinuedItEndsWithTheSameBits) {
  const TestDirectory directory;
  const auto whole = directory.path() / "whole";
  ASSERT_TRUE(run_study(small_study(whole)).finished);
  const auto parts = directory.path() / "parts";
  int calls = 0;
  for (bool finished = false; !finished; ++calls) {
    ASSERT_LT(calls, 20);
    auto options = small_study(parts);
    // Asked before a system and after each of its steps.
    options.should_stop = [left = 5]() mutable { return --left <= 0; };
    const auto outcome = run_study(options);
    finished = outcome.finished;
    EXPECT_EQ(read_json(parts / "results.json")["systems"].size(), outcome.result.systems.size());
  }
  EXPECT_GE(calls, 3);
  for (const char* name : {"isopar", "loop3"}) {
    EXPECT_EQ(read_file(whole / "systems" / name / "model.safetensors"),
              read_file(parts / "systems" / name / "model.safetensors"))
        << name;
  }
  EXPECT_EQ(timeless_results(whole), timeless_results(parts));
}

TEST(RunStudy, ATrainedSystemWithoutItsResultIsScoredAlone) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  ASSERT_TRUE(run_study(small_study(out, {"isopar"})).finished);
  const auto before = timeless_results(out);
  const auto trained = read_file(out / "systems/isopar/metrics.jsonl");
  fs::remove(out / "systems/isopar/result.json");
  const auto outcome = run_study(small_study(out, {"isopar"}));
  EXPECT_EQ(timeless_results(out), before);
  EXPECT_EQ(read_file(out / "systems/isopar/metrics.jsonl"), trained);
  EXPECT_GT(outcome.result.systems.at(0).tokens_per_second, 0.0);
}

TEST(RunStudy, AMovedStudyStillShowsWhatIsDone) {
  const TestDirectory directory;
  ASSERT_TRUE(run_study(small_study(directory.path() / "here", {"isopar"})).finished);
  fs::rename(directory.path() / "here", directory.path() / "there");
  const auto outcome = run_study(small_study(directory.path() / "there", {"isopar"}));
  EXPECT_TRUE(outcome.finished);
  EXPECT_EQ(outcome.result.systems.size(), 1U);
}

TEST(RunStudy, AFolderOfOtherOptionsIsRefusedAndKept) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  ASSERT_TRUE(run_study(small_study(out, {"isopar"})).finished);
  const auto before = read_file(out / "results.json");

  auto other_settings = small_study(out, {"loop3"});
  other_settings.overrides.emplace_back("training.steps=7");
  const auto settings = error_of(ErrorCode::kConfig, [&] { (void)run_study(other_settings); });
  expect_contains(settings, "expected training.steps = 6");
  expect_contains(settings, "got 7");

  auto other_world = small_study(out, {"loop3"});
  other_world.benchmark->seed = 4;
  const auto world = error_of(ErrorCode::kConfig, [&] { (void)run_study(other_world); });
  expect_contains(world, "data.json: expected benchmark.seed = 3, got 4");
  EXPECT_EQ(read_file(out / "results.json"), before);
}

TEST(RunStudy, ABrokenResultIsNamed) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  ASSERT_TRUE(run_study(small_study(out, {"isopar"})).finished);
  write_file_atomically(out / "systems/isopar/result.json", "{\"name\": ");
  const auto error =
      error_of(ErrorCode::kData, [&] { (void)run_study(small_study(out, {"isopar"})); });
  expect_contains(error, "systems/isopar/result.json: expected the result of a system");
  expect_contains(error, "Remove the file");
}

TEST(RunStudy, TwoStudiesDoNotWriteIntoOneFolder) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  auto options = small_study(out, {"isopar"});
  options.on_system = [&](const SystemDone&) {
    const auto error =
        error_of(ErrorCode::kCheckpoint, [&] { (void)run_study(small_study(out, {"loop3"})); });
    expect_contains(error, "in use");
  };
  EXPECT_TRUE(run_study(options).finished);
}

TEST(SystemsOfStudy, MistakesAreNamed) {
  const auto refusal = [](const StudyOptions& options) {
    return error_of(ErrorCode::kConfig, [&] { (void)systems_of_study(options); });
  };
  expect_contains(refusal(small_study("out", {"mem-g4"})), "Did you mean");
  auto own_data = small_study("out");
  own_data.overrides.emplace_back("data.train=mine.tokens");
  expect_contains(refusal(own_data), "\"data.train=mine.tokens\"");
  auto unknown = small_study("out");
  unknown.overrides.emplace_back("training.step=3");
  expect_contains(refusal(unknown), "Did you mean \"steps\"?");
}

TEST(SystemsOfStudy, TheSeedIsThatOfEveryRunAndSmallHasAVocabularyOfItsOwn) {
  StudyOptions options;
  options.scale = Scale::kSmall;
  options.seed = 9;
  for (const auto& system : systems_of_study(options)) {
    EXPECT_EQ(system.run.training.seed, 9) << system.name;
    EXPECT_LT(system.run.model.vocab_size, 5000) << system.name;
  }
}

TEST(RunStudy, ThePapersScaleIsOnlyPlanned) {
  StudyOptions options;
  options.scale = Scale::kPaper;
  options.out = "never-made";
  expect_contains(error_of(ErrorCode::kConfig, [&] { (void)run_study(options); }), "--dry-run");
  EXPECT_FALSE(fs::exists("never-made"));
}

}  // namespace
}  // namespace loopbank
