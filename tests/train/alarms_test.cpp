#include "loopbank/train/alarms.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
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

using Json = nlohmann::ordered_json;

/// Alerts after 5 steps or 2 validations, of which the first 10 of 100 steps do not count.
RunConfig watched_run(std::vector<int64_t> loops, int64_t patience = 5) {
  RunConfig config;
  config.model.num_hidden_layers = static_cast<int64_t>(loops.size());
  config.model.max_loops = std::move(loops);
  config.training.steps = 100;
  config.training.halting_alarm_steps = patience;
  config.training.alarm_validations = 2;
  config.schedule.warmup_fraction = 0.1;
  return config;
}

/// All alerts of steps `first` to `last` with the same mean loops.
std::vector<Alert> observe(Alarms& alarms, int64_t first, int64_t last,
                           const std::vector<double>& loops) {
  std::vector<Alert> all;
  for (int64_t step = first; step <= last; ++step) {
    for (auto& alert :
         alarms.observe(Json{{"step", step}, {"loss", 1.0}, {"loops_by_layer", loops}})) {
      all.push_back(std::move(alert));
    }
  }
  return all;
}

TEST(Alarms, TellsOnceWhenAllLayersStayAtOneLoop) {
  Alarms alarms(watched_run({3, 7}));
  EXPECT_TRUE(observe(alarms, 1, 19, {1.5, 2.0}).empty());
  EXPECT_TRUE(observe(alarms, 20, 23, {1.03, 1.11}).empty());
  const auto alerts = observe(alarms, 24, 100, {1.03, 1.11});
  ASSERT_EQ(alerts.size(), 1U);
  EXPECT_EQ(alerts[0].kind, "loops_at_one");
  EXPECT_EQ(alerts[0].step, 24);
  EXPECT_EQ(alerts[0].since, 20);
  EXPECT_EQ(alerts[0].layers, (std::vector<int64_t>{0, 1}));
  EXPECT_TRUE(alerts[0].all_layers);
  EXPECT_NEAR(alerts[0].value, 1.07, 1e-12);
}

TEST(Alarms, TellsOfAllLoopsByTheSameDistanceFromN) {
  Alarms alarms(watched_run({3, 7}));
  EXPECT_TRUE(observe(alarms, 20, 40, {2.95, 6.87}).empty());  // shares 0.975 and 0.978
  const auto alerts = observe(alarms, 41, 60, {2.97, 6.89});
  ASSERT_EQ(alerts.size(), 1U);
  EXPECT_EQ(alerts[0].kind, "loops_at_most");
  EXPECT_EQ(alerts[0].step, 45);
}

TEST(Alarms, ARowSaysWhichLayersAndALineWhenTheFirstAndWhenAllHaveCome) {
  Alarms alarms(watched_run({3, 3, 3}));
  const auto some = observe(alarms, 20, 24, {1.0, 2.0, 2.0});
  ASSERT_EQ(some.size(), 1U);
  EXPECT_EQ(some[0].layers, (std::vector<int64_t>{0}));
  EXPECT_FALSE(some[0].all_layers);
  EXPECT_NE(some[0].message, "");
  const auto more = observe(alarms, 25, 30, {1.0, 2.0, 1.0});
  ASSERT_EQ(more.size(), 1U);
  EXPECT_EQ(more[0].step, 29);
  EXPECT_EQ(more[0].layers, (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(more[0].message, "") << "a row alone";
  const auto all = observe(alarms, 31, 60, {1.0, 1.0, 1.0});
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].step, 35);
  EXPECT_EQ(all[0].since, 31);
  EXPECT_TRUE(all[0].all_layers);
  EXPECT_NE(all[0].message, "");
}

TEST(Alarms, AStepInBetweenEndsItAndAnotherOneIsTold) {
  Alarms alarms(watched_run({3}));
  EXPECT_EQ(observe(alarms, 20, 30, {1.0}).size(), 1U);
  const auto over = observe(alarms, 31, 31, {1.5});
  ASSERT_EQ(over.size(), 1U);
  EXPECT_TRUE(over[0].is_over);
  EXPECT_FALSE(over[0].all_layers);
  EXPECT_EQ(over[0].message, "step 31: no longer so: tokens stop after the first loop.");
  EXPECT_EQ(to_json(over[0]).dump(),
            R"({"step":31,"alarm":"loops_at_one","layers":[],"all_layers":false,"over":true})");
  EXPECT_TRUE(observe(alarms, 32, 35, {1.0}).empty());
  const auto again = observe(alarms, 36, 50, {1.0});
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].since, 32);
}

TEST(Alarms, WarmUpsDoNotCount) {
  Alarms alarms(watched_run({3}));
  const auto alerts = observe(alarms, 1, 40, {3.0});
  ASSERT_EQ(alerts.size(), 1U);
  EXPECT_EQ(alerts[0].step, 15);  // the fifth after ten
  EXPECT_EQ(alerts[0].since, 1);
  auto slow = watched_run({3});
  slow.training.ponder_warmup_fraction = 0.3;
  Alarms patient(slow);
  EXPECT_EQ(observe(patient, 1, 100, {3.0}).at(0).step, 35);
}

TEST(Alarms, IsSilentWhereThereIsNothingToChoose) {
  for (const auto& loops : {std::vector<int64_t>{0, 0}, std::vector<int64_t>{1, 0}}) {
    Alarms alarms(watched_run(loops));
    EXPECT_TRUE(observe(alarms, 1, 100, {1.0, 1.0}).empty());
  }
  Alarms mixed(watched_run({1, 3}));
  EXPECT_TRUE(observe(mixed, 1, 100, {1.0, 2.0}).empty());
  Alarms off(watched_run({3}, /*patience=*/0));
  EXPECT_TRUE(observe(off, 1, 100, {1.0}).empty());
}

TEST(Alarms, ASkippedStepNeitherCountsNorBreaks) {
  Alarms alarms(watched_run({3}));
  EXPECT_TRUE(observe(alarms, 20, 22, {1.0}).empty());
  EXPECT_TRUE(
      alarms.observe(Json{{"step", 23}, {"loss", nullptr}, {"loops_by_layer", {nullptr}}}).empty());
  const auto alert = observe(alarms, 24, 30, {1.0}).at(0);
  EXPECT_EQ(alert.since, 20);
  EXPECT_EQ(alert.step, 25);
}

TEST(Alarms, ARowAndItsMessageSayWhatWasFoundAndWhatToChange) {
  auto config = watched_run({3, 3});
  config.model.ponder_weight = 0.25;
  Alarms alarms(config);
  const auto alert = observe(alarms, 20, 30, {1.0, 2.0}).at(0);
  EXPECT_EQ(to_json(alert).dump(),
            R"({"step":24,"alarm":"loops_at_one","since":20,"layers":[0],"all_layers":false,)"
            R"("mean_loops":1.0})");
  EXPECT_EQ(alert.message.find('\n'), std::string::npos);
  for (const char* part :
       {"step 24: mean loops 1.00 since step 20 in layer 1 of 2", "model.ponder_weight (0.25)",
        "model.router_bias_init (0)", "model.first_loop_scale_init (unset)"}) {
    EXPECT_NE(alert.message.find(part), std::string::npos) << part << "\nin: " << alert.message;
  }
  config.model.ponder_weight = 0.0;
  Alarms without(config);
  EXPECT_EQ(observe(without, 20, 30, {1.0, 2.0}).at(0).message.find("ponder_weight"),
            std::string::npos)
      << "nothing to lower";
  Alarms most(config);
  const auto at_most = observe(most, 20, 30, {3.0, 3.0}).at(0);
  EXPECT_NE(at_most.message.find("in all layers: no token stops early"), std::string::npos);
}

/// A validation in which every part of a Loop-3 with memory does something.
Json healthy_validation(int64_t step) {
  return {{"step", step},
          {"validation_loss", 2.0},
          {"validation_loss_by_loops", {{"1", 2.5}, {"2", 2.1}, {"3", 2.0}}},
          {"loops_by_layer", {1.5, 2.0}},
          {"validation_loss_without_memory", 2.2},
          {"local_gate_by_layer", {0.4, 0.5}},
          {"global_gate_by_layer", {0.05, 0.95}},
          {"local_focus_by_layer", {0.5, 0.6}},
          {"global_focus_by_layer", {0.3, 0.4}},
          {"loop_change_by_layer", {0.5, 0.1}},
          {"router_gradient_by_layer", {1e-4, 1e-5}},
          {"loop_scale_by_layer", {{1.0, 0.5, 0.5}, {1.0, 0.4, 0.3}}}};
}

struct DeadValue {
  std::string kind;
  std::string key;
  Json value;
  std::vector<int64_t> layers;  // none: of the whole model
  std::string in_message;
};

TEST(Alarms, EachFigureThatIsDeadRaisesItsOwnAlarmAndNoOther) {
  const double bare = 2.0 + 0.9 * kMemoryTolerance;
  const std::vector<DeadValue> cases = {
      {"loops_do_nothing",
       "validation_loss_by_loops",
       {{"1", 2.0 + 0.8 * kLoopsTolerance}, {"2", 2.0}, {"3", 2.0}},
       {},
       "in the whole model: with one loop"},
      {"loops_change_nothing", "loop_change_by_layer", {0.5, 0.0009}, {1}, "in layer 2 of 2"},
      {"router_without_gradient",
       "router_gradient_by_layer",
       {1e-9, 1e-5},
       {0},
       "router_bias_init"},
      {"memory_does_nothing", "validation_loss_without_memory", bare, {}, "memory_multiplier (1)"},
      {"local_memory_read_uniformly", "local_focus_by_layer", {0.5, 0.002}, {1}, "local bank"},
      {"global_memory_read_uniformly", "global_focus_by_layer", {0.0, 0.3}, {0}, "global bank"},
      {"local_gates_at_zero", "local_gate_by_layer", {0.005, 0.5}, {0}, "is shut"},
      {"local_gates_at_one", "local_gate_by_layer", {0.4, 0.995}, {1}, "is open"},
      {"global_gates_at_zero", "global_gate_by_layer", {0.005, 0.95}, {0}, "global bank is shut"},
      {"global_gates_at_one", "global_gate_by_layer", {0.05, 0.995}, {1}, "global bank is open"},
  };
  auto config = watched_run({3, 3});
  config.model.local_memory_slots = config.model.global_memory_slots = 8;
  for (const auto& dead : cases) {
    Alarms alarms(config);
    std::vector<Alert> all;
    for (const int64_t step : {10, 20, 30, 40, 50}) {
      auto row = healthy_validation(step);
      row[dead.key] = step == 50 ? row[dead.key] : dead.value;
      for (auto& alert : alarms.observe(row)) {
        all.push_back(std::move(alert));
      }
    }
    ASSERT_EQ(all.size(), 2U) << dead.kind;
    EXPECT_EQ(all[0].kind, dead.kind);
    EXPECT_EQ(all[0].step, 30) << "the second that counts";
    EXPECT_EQ(all[0].since, 10);
    EXPECT_EQ(all[0].layers, dead.layers) << dead.kind;
    EXPECT_EQ(all[0].all_layers, dead.layers.empty());
    EXPECT_NE(all[0].message.find(dead.in_message), std::string::npos) << all[0].message;
    EXPECT_TRUE(all[1].is_over);
    EXPECT_EQ(all[1].step, 50);
    EXPECT_NE(alarm_words(dead.kind), dead.kind) << "has no words";
  }
}

TEST(Alarms, LoopsThatAddHarmOrHelpAreNoneThatDoNothing) {
  auto config = watched_run({3, 3});
  config.model.local_memory_slots = 8;
  Alarms alarms(config);
  for (int64_t step = 20; step < 90; step += 10) {
    auto row = healthy_validation(step);
    row["validation_loss_by_loops"] = {{"1", 2.0}, {"2", 2.3}, {"3", 2.0}};
    row["validation_loss_without_memory"] = 1.9;
    EXPECT_TRUE(alarms.observe(row).empty()) << step;
  }
}

TEST(Alarms, AMessageNamesTheLoopScalesThatDied) {
  Alarms alarms(watched_run({3, 3}));
  std::vector<Alert> all;
  for (const int64_t step : {20, 30}) {
    auto row = healthy_validation(step);
    row["validation_loss_by_loops"] = {{"1", 2.0}, {"2", 2.0}, {"3", 2.0}};
    row["loop_scale_by_layer"] = {{1.0, 2e-6, 1e-6}, {1.0, 0.4, 0.0}};
    all = alarms.observe(row);
  }
  ASSERT_EQ(all.size(), 1U);
  EXPECT_NE(
      all[0].message.find("Now the loop scales behind the first are at most 2e-06 in layer 1."),
      std::string::npos)
      << all[0].message;
}

TEST(Alarms, LayersWithoutThePartAreNotWatched) {
  auto config = watched_run({0, 1});  // dense; one loop, so that its router chooses nothing
  config.model.local_memory_slots = 1;
  Alarms alarms(config);
  for (const int64_t step : {20, 30, 40}) {
    EXPECT_TRUE(alarms
                    .observe(Json{{"step", step},
                                  {"validation_loss", 2.0},
                                  {"validation_loss_by_loops", {{"1", 2.0}}},
                                  {"validation_loss_without_memory", 2.5},
                                  {"local_gate_by_layer", {0.0, 0.5}},
                                  {"local_focus_by_layer", {0.0, 0.0}},
                                  {"router_gradient_by_layer", {0.0, 0.0}}})
                    .empty());
  }
  EXPECT_TRUE(alarm_rules(watched_run({0, 0})).empty());
}

/// A run whose routers stop every token after its first loop, in bytes and a dozen steps.
RunConfig collapsed_run(const TestDirectory& directory) {
  auto run = small_run(directory);
  run.model.router_bias_init = 9.0;
  run.training.steps = 12;
  run.training.halting_alarm_steps = 3;
  run.training.alarm_validations = 0;
  run.schedule.warmup_fraction = 0.25;
  return run;
}

std::vector<nlohmann::json> alarm_rows(const std::filesystem::path& out) {
  auto rows = read_rows(out / "metrics.jsonl");
  std::erase_if(rows, [](const auto& row) { return !row.contains("alarm"); });
  return rows;
}

TEST(Alarms, ATrainingWarnsAndWritesARow) {
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
TEST(Alarms, ARunThatGoesOnTellsWhatItWouldHaveToldAndNothingTwice) {
  const TestDirectory directory;
  auto run = collapsed_run(directory);
  run.training.checkpoint_every = 1;
  run.training.validate_every = 2;
  run.training.alarm_validations = 2;
  run.model.loop_scale_init = -20.0;
  run.model.memory_gate_bias_init = -20.0;
  set_log_level(LogLevel::kQuiet);
  (void)train(run, quiet(directory.path() / "whole"));
  ASSERT_GT(alarm_rows(directory.path() / "whole").size(), 3U) << "of several rules";
  for (const int steps : {2, 5, 6, 9}) {
    const auto out = directory.path() / std::to_string(steps);
    (void)train(run, stopping_after(out, steps));
    (void)train(run, quiet(out, ResumeMode::kResume));
    testing::expect_same_results(directory.path() / "whole", out, 12);
  }
  // Switched on in the middle, it tells of what began before.
  const auto out = directory.path() / "late";
  run.training.halting_alarm_steps = run.training.alarm_validations = 0;
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
