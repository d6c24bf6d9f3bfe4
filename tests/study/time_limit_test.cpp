/// A study that is kept to a time: measured, cut, stopped and continued.

#include "loopbank/study/time_limit.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <optional>

#include "loopbank/study/system_times.h"
#include "loopbank/support/files.h"
#include "small_study.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::expect_contains;
using testing::run_folder;
using testing::small_study;
using testing::TestDirectory;
using Names = std::vector<std::string>;

constexpr double kPlenty = 3600.0;
constexpr double kTooLittle = 1e-3;

StudyOptions timed_study(const fs::path& out, double seconds,
                         const Names& systems = {"isopar", "loop3", "mem-g3"},
                         const Names& more = {}) {
  auto settings = more;
  settings.insert(settings.begin(), "training.steps=8");
  auto options = small_study(out, systems, settings);
  options.time_limit_seconds = seconds;
  return options;
}

nlohmann::json results_of(const fs::path& out) {
  return testing::json_of_file(out / "results.json");
}

TEST(StudyTimeLimit, WithPlentyOfTimeItIsTheStudyWithoutOne) {
  const TestDirectory directory;
  ASSERT_TRUE(run_study(timed_study(directory.path() / "plain", 0.0)).finished);
  auto options = timed_study(directory.path() / "timed", kPlenty);
  std::optional<TimeReport> told;
  options.on_time_plan = [&](const TimeReport& report) { told = report; };
  const auto outcome = run_study(options);
  EXPECT_TRUE(outcome.finished);
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->choice.steps, 8);
  for (const auto& time : told->plan.systems) {
    SCOPED_TRACE(time.system);
    EXPECT_EQ(time.runs, 1);
    EXPECT_EQ(time.tokens_a_step, 2 * 16);
    EXPECT_GT(time.seconds_a_step, 0.0);
    EXPECT_GT(time.rest_seconds, 0.0);
  }
  EXPECT_EQ(results_of(directory.path() / "timed")["time_plan"]["left_out"],
            nlohmann::json::array());
  EXPECT_FALSE(results_of(directory.path() / "plain").contains("time_plan"));
  EXPECT_FALSE(fs::exists(directory.path() / "plain/time_plan.json"));
  for (const char* system : {"isopar", "loop3", "mem-g3"}) {
    EXPECT_EQ(read_file(run_folder(directory.path() / "timed", system) / "model.safetensors"),
              read_file(run_folder(directory.path() / "plain", system) / "model.safetensors"))
        << system;
  }
}

TEST(StudyTimeLimit, WithTooLittleItTakesTheFewestStepsAndSaysSo) {
  const TestDirectory directory;
  const auto outcome = run_study(timed_study(directory.path(), kTooLittle));
  EXPECT_TRUE(outcome.finished);
  const auto json = results_of(directory.path());
  ASSERT_EQ(json["systems"].size(), 2U);
  for (const auto& system : json["systems"]) {
    EXPECT_EQ(system["steps"], 4);
  }
  EXPECT_EQ(json["time_plan"]["steps"], 4);
  EXPECT_EQ(json["time_plan"]["steps_of_config"], 8);
  EXPECT_EQ(json["time_plan"]["left_out"], nlohmann::json({"Mem (g0=3)"}));
  // validate_every is 3 of 8 steps, 2 of 4: three times, the last being the run's end, and twice.
  EXPECT_EQ(json["parts"][0]["curves"]["isopar"][0]["step"], nlohmann::json({2, 4}));
  expect_contains(read_file(directory.path() / "report.html"),
                  "Steps were chosen for the time available");
}

TEST(StudyTimeLimit, CalledAgainItKeepsItsStepsAndTrainsWhatWasLeftOut) {
  const TestDirectory directory;
  ASSERT_TRUE(run_study(timed_study(directory.path(), kTooLittle)).finished);
  const auto plan = read_file(directory.path() / "time_plan.json");
  auto options = timed_study(directory.path(), kPlenty);
  std::optional<TimeReport> told;
  options.on_time_plan = [&](const TimeReport& report) { told = report; };
  const auto rows = run_study(options).result.parts[0].systems;
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->origin, TimeReport::Origin::kStored);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[2].name, "mem-g3");
  EXPECT_EQ(rows[2].steps, 4);
  EXPECT_EQ(read_file(directory.path() / "time_plan.json"), plan) << "nothing is measured again";
  EXPECT_EQ(results_of(directory.path())["time_plan"]["left_out"], nlohmann::json::array());
}

TEST(StudyTimeLimit, StoppedAndContinuedWithAnotherLimitItEndsWithTheSameBits) {
  const TestDirectory directory;
  const auto whole = directory.path() / "whole";
  const auto parts = directory.path() / "parts";
  ASSERT_TRUE(run_study(timed_study(whole, kTooLittle, {"isopar", "loop3"})).finished);
  int calls = 0;
  for (bool finished = false; !finished; ++calls) {
    ASSERT_LT(calls, 20);
    // The first call is stopped while it measures, the next ones some steps behind the plan.
    auto options = timed_study(parts, calls == 1 ? kTooLittle : kPlenty, {"isopar", "loop3"});
    std::atomic<bool> has_plan = calls == 0;
    std::atomic<int> left = 5;
    options.on_time_plan = [&](const TimeReport&) { has_plan = true; };
    options.should_stop = [&] { return has_plan && --left <= 0; };
    finished = run_study(options).finished;
    const auto plan = read_time_plan(parts);
    ASSERT_EQ(plan.has_value(), calls > 0);
    if (plan) {
      EXPECT_EQ(plan->steps, 4);
      EXPECT_EQ(plan->limit_seconds, kTooLittle);
    }
  }
  EXPECT_GE(calls, 3);
  for (const char* system : {"isopar", "loop3"}) {
    EXPECT_EQ(read_file(run_folder(parts, system) / "model.safetensors"),
              read_file(run_folder(whole, system) / "model.safetensors"))
        << system;
  }
}

TEST(StudyTimeLimit, SystemsThatJoinLaterTakeTheSameSteps) {
  const TestDirectory directory;
  ASSERT_TRUE(run_study(timed_study(directory.path(), kTooLittle, {"isopar", "loop3"})).finished);
  const auto rows =
      run_study(timed_study(directory.path(), kPlenty, {"loop5"})).result.parts[0].systems;
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[2].steps, 4);
  EXPECT_NE(read_time_plan(directory.path())->find("loop5"), nullptr);
}

TEST(StudyTimeLimit, WhatWasStartedOtherwiseIsNotMixed) {
  const TestDirectory directory;
  const auto cut = directory.path() / "cut";
  ASSERT_TRUE(run_study(timed_study(cut, kTooLittle)).finished);
  const auto before = read_file(cut / "results.json");
  expect_contains(
      error_of(ErrorCode::kConfig, [&] { (void)run_study(timed_study(cut, 0.0)); }),
      "expected --time-limit, with which the study was started and 4 of 8 steps were chosen, got "
      "none");
  auto other = timed_study(cut, kPlenty);
  other.parts.front().run.training.steps = 9;
  expect_contains(error_of(ErrorCode::kConfig, [&] { (void)run_study(other); }),
                  "expected training.steps = 8, from which 4 were chosen");
  EXPECT_EQ(read_file(cut / "results.json"), before);

  const auto whole = directory.path() / "whole";
  ASSERT_TRUE(run_study(timed_study(whole, 0.0, {"isopar"})).finished);
  auto options = timed_study(whole, kTooLittle, {"isopar", "loop3"});
  std::string told;
  options.on_time_plan = [&](const TimeReport& report) { told = describe(report); };
  const auto rows = run_study(options).result.parts[0].systems;
  EXPECT_EQ(told, "The study was started without a time limit and keeps its 8 steps.");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[1].steps, 8);
  EXPECT_FALSE(fs::exists(whole / "time_plan.json"));
}

TEST(StudyTimeLimit, ABaselineInEqualTimeCountsAsWhatItMatches) {
  const TestDirectory directory;
  const auto file = directory.write(
      "mine.toml", fmt::format("base = \"{}/configs/study/demo.toml\"\n"
                               "[study]\nsystems = [\"loop7\"]\n"
                               "[system.isotime]\nmatch = \"loop7\"\nby = \"time\"\n",
                               LOOPBANK_SOURCE_DIR));
  auto options = small_study(directory.path() / "study", {});
  options.parts = {load_study_config(file, testing::small_settings())};
  options.time_limit_seconds = kTooLittle;
  const auto rows = run_study(options).result.parts[0].systems;
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].steps, 3);  // half of 6
  const auto file_of_steps = directory.path() / "study/benchmark/iso-time/isotime.json";
  EXPECT_EQ(rows[1].steps, nlohmann::json::parse(read_file(file_of_steps))["steps"]);
  // It is given the time of a step of what it matches, whatever its own takes.
  const auto plan = read_time_plan(directory.path() / "study");
  EXPECT_GT(plan->find("isotime")->seconds_a_step, 0.0);
}

TEST(StudyTimeLimit, UnequalStepsAndSeveralPartsAreRefusedBeforeAnythingIsWritten) {
  const TestDirectory directory;
  const auto file = directory.write(
      "mine.toml", fmt::format("base = \"{}/configs/study/demo.toml\"\n"
                               "[study]\nsystems = [\"isopar\"]\n"
                               "[system.long]\nlike = \"isopar\"\nset = [\"training.steps=99\"]\n",
                               LOOPBANK_SOURCE_DIR));
  const auto out = directory.path() / "study";
  auto options = timed_study(out, kPlenty, {});
  options.parts = {load_study_config(file, testing::small_settings())};
  expect_contains(error_of(ErrorCode::kConfig, [&] { (void)run_study(options); }),
                  "got training.steps = 99 for long and 6 for the others");
  options = timed_study(out, kPlenty);
  options.parts.push_back(options.parts.front());
  expect_contains(error_of(ErrorCode::kConfig, [&] { (void)run_study(options); }),
                  "expected --time-limit with one kind of data");
  EXPECT_FALSE(fs::exists(out));
}

}  // namespace
}  // namespace loopbank
