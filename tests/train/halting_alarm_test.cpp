#include "loopbank/train/halting_alarm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "loopbank/support/log.h"
#include "small_run.h"

namespace loopbank {
namespace {

using testing::quiet;
using testing::read_rows;
using testing::small_run;
using testing::stopping_after;
using testing::TestDirectory;

using Kind = HaltingAlert::Kind;

/// Alerts after 5 steps, of which the first 10 of 100 do not count.
RunConfig watched_run(std::vector<int64_t> loops, int64_t patience = 5) {
  RunConfig config;
  config.model.num_hidden_layers = static_cast<int64_t>(loops.size());
  config.model.max_loops = std::move(loops);
  config.training.steps = 100;
  config.training.halting_alarm_steps = patience;
  config.schedule.warmup_fraction = 0.1;
  return config;
}

/// All alerts of steps `first` to `last` with the same mean loops.
std::vector<HaltingAlert> observe(HaltingAlarm& alarm, int64_t first, int64_t last,
                                  const std::vector<double>& loops) {
  std::vector<HaltingAlert> all;
  for (int64_t step = first; step <= last; ++step) {
    for (auto& alert : alarm.observe(step, loops)) {
      all.push_back(std::move(alert));
    }
  }
  return all;
}

TEST(HaltingAlarm, TellsOnceWhenAllLayersStayAtOneLoop) {
  HaltingAlarm alarm(watched_run({3, 7}));
  EXPECT_TRUE(observe(alarm, 1, 19, {1.5, 2.0}).empty());
  EXPECT_TRUE(observe(alarm, 20, 23, {1.03, 1.11}).empty());
  const auto alerts = observe(alarm, 24, 100, {1.03, 1.11});
  ASSERT_EQ(alerts.size(), 1U);
  EXPECT_EQ(alerts[0].kind, Kind::kLoopsAtOne);
  EXPECT_EQ(alerts[0].step, 24);
  EXPECT_EQ(alerts[0].since, 20);
  EXPECT_EQ(alerts[0].layers, (std::vector<int64_t>{0, 1}));
  EXPECT_TRUE(alerts[0].all_layers);
  EXPECT_NEAR(alerts[0].mean_loops, 1.07, 1e-12);
}

TEST(HaltingAlarm, TellsOfAllLoopsByTheSameDistanceFromN) {
  HaltingAlarm alarm(watched_run({3, 7}));
  EXPECT_TRUE(observe(alarm, 20, 40, {2.95, 6.87}).empty());  // shares 0.975 and 0.978
  const auto alerts = observe(alarm, 41, 60, {2.97, 6.89});
  ASSERT_EQ(alerts.size(), 1U);
  EXPECT_EQ(alerts[0].kind, Kind::kLoopsAtMost);
  EXPECT_EQ(alerts[0].step, 45);
}

TEST(HaltingAlarm, SomeLayersAreToldBeforeAllAre) {
  HaltingAlarm alarm(watched_run({3, 3, 3}));
  const auto some = observe(alarm, 20, 30, {1.0, 2.0, 1.0});
  ASSERT_EQ(some.size(), 1U);
  EXPECT_EQ(some[0].layers, (std::vector<int64_t>{0, 2}));
  EXPECT_FALSE(some[0].all_layers);
  const auto all = observe(alarm, 31, 60, {1.0, 1.0, 1.0});
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].step, 35);
  EXPECT_EQ(all[0].since, 31);
  EXPECT_TRUE(all[0].all_layers);
}

TEST(HaltingAlarm, AStepInBetweenEndsTheEpisodeAndAnotherOneIsTold) {
  HaltingAlarm alarm(watched_run({3}));
  EXPECT_EQ(observe(alarm, 20, 30, {1.0}).size(), 1U);
  EXPECT_TRUE(observe(alarm, 31, 31, {1.5}).empty());
  EXPECT_TRUE(observe(alarm, 32, 35, {1.0}).empty());
  const auto again = observe(alarm, 36, 50, {1.0});
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].since, 32);
}

TEST(HaltingAlarm, WarmUpsDoNotCount) {
  HaltingAlarm alarm(watched_run({3}));
  const auto alerts = observe(alarm, 1, 40, {3.0});
  ASSERT_EQ(alerts.size(), 1U);
  EXPECT_EQ(alerts[0].step, 15);  // the fifth after ten
  EXPECT_EQ(alerts[0].since, 1);
  auto slow = watched_run({3});
  slow.training.ponder_warmup_fraction = 0.3;
  HaltingAlarm patient(slow);
  EXPECT_EQ(observe(patient, 1, 100, {3.0}).at(0).step, 35);
}

TEST(HaltingAlarm, IsSilentWhereThereIsNothingToChoose) {
  for (const auto& loops : {std::vector<int64_t>{0, 0}, std::vector<int64_t>{1, 0}}) {
    HaltingAlarm alarm(watched_run(loops));
    EXPECT_TRUE(observe(alarm, 1, 100, {1.0, 1.0}).empty());
  }
  HaltingAlarm mixed(watched_run({1, 3}));
  EXPECT_TRUE(observe(mixed, 1, 100, {1.0, 2.0}).empty());
  HaltingAlarm off(watched_run({3}, /*patience=*/0));
  EXPECT_TRUE(observe(off, 1, 100, {1.0}).empty());
}

TEST(HaltingAlarm, ASkippedStepNeitherCountsNorBreaks) {
  HaltingAlarm alarm(watched_run({3}));
  EXPECT_TRUE(observe(alarm, 20, 22, {1.0}).empty());
  EXPECT_TRUE(alarm.observe(23, {std::nan("")}).empty());
  EXPECT_EQ(observe(alarm, 24, 30, {1.0}).at(0).since, 20);
}

TEST(HaltingAlarm, ItsRowAndItsMessageSayWhatWasFoundAndWhatToChange) {
  auto config = watched_run({3, 3});
  config.model.ponder_weight = 0.25;
  HaltingAlarm alarm(config);
  const auto alert = observe(alarm, 20, 30, {1.0, 2.0}).at(0);
  EXPECT_EQ(to_json(alert).dump(),
            R"({"step":24,"alarm":"loops_at_one","since":20,"layers":[0],"all_layers":false,)"
            R"("mean_loops":1.0})");
  const auto text = message(alert, config);
  EXPECT_EQ(text.find('\n'), std::string::npos);
  for (const char* part :
       {"step 24: mean loops 1.00 since step 20 in layer 0 of 2", "model.ponder_weight (0.25)",
        "model.router_bias_init (0)", "model.first_loop_scale_init (unset)"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\nin: " << text;
  }
  config.model.ponder_weight = 0.0;
  EXPECT_EQ(message(alert, config).find("ponder_weight"), std::string::npos) << "nothing to lower";
  const HaltingAlert most{
      .kind = Kind::kLoopsAtMost, .step = 9, .layers = {0, 1}, .all_layers = true};
  EXPECT_EQ(to_json(most)["alarm"], "loops_at_most");
  EXPECT_NE(message(most, config).find("in all layers: no token stops early"), std::string::npos);
}

/// A run whose routers stop every token after its first loop, in bytes and a dozen steps.
RunConfig collapsed_run(const TestDirectory& directory) {
  auto run = small_run(directory);
  run.model.router_bias_init = 9.0;
  run.training.steps = 12;
  run.training.halting_alarm_steps = 3;
  run.schedule.warmup_fraction = 0.25;
  return run;
}

std::vector<nlohmann::json> alarm_rows(const std::filesystem::path& out) {
  auto rows = read_rows(out / "metrics.jsonl");
  std::erase_if(rows, [](const auto& row) { return !row.contains("alarm"); });
  return rows;
}

TEST(HaltingAlarm, ATrainingWarnsAndWritesARow) {
  const TestDirectory directory;
  const auto run = collapsed_run(directory);
  const auto out = directory.path() / "run";
  ::testing::internal::CaptureStderr();
  (void)train(run, quiet(out));
  const auto shown = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(shown.find("step 6: mean loops 1.00 since step 1 in all layers"), std::string::npos)
      << shown;
  EXPECT_EQ(std::count(shown.begin(), shown.end(), '\n'), 1) << shown;
  const auto rows = alarm_rows(out);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0]["step"], 6);
  EXPECT_EQ(rows[0]["alarm"], "loops_at_one");
  EXPECT_EQ(rows[0]["layers"], (std::vector<int64_t>{0, 1}));
}

// The alarm has no state in a checkpoint: it follows from metrics.jsonl.
TEST(HaltingAlarm, ARunThatGoesOnTellsWhatItWouldHaveToldAndNothingTwice) {
  const TestDirectory directory;
  auto run = collapsed_run(directory);
  run.training.checkpoint_every = 1;
  set_log_level(LogLevel::kQuiet);
  (void)train(run, quiet(directory.path() / "whole"));
  for (const int steps : {2, 5, 6, 9}) {
    const auto out = directory.path() / std::to_string(steps);
    (void)train(run, stopping_after(out, steps));
    (void)train(run, quiet(out, ResumeMode::kResume));
    testing::expect_same_results(directory.path() / "whole", out, 12);
  }
  // Switched on in the middle, it tells of what began before.
  const auto out = directory.path() / "late";
  run.training.halting_alarm_steps = 0;
  (void)train(run, stopping_after(out, 8));
  EXPECT_TRUE(alarm_rows(out).empty());
  run.training.halting_alarm_steps = 3;
  (void)train(run, quiet(out, ResumeMode::kResume));
  set_log_level(LogLevel::kInfo);
  ASSERT_EQ(alarm_rows(out).size(), 1U);
  EXPECT_EQ(alarm_rows(out)[0]["step"], 9);
  EXPECT_EQ(alarm_rows(out)[0]["since"], 1);
}

}  // namespace
}  // namespace loopbank
