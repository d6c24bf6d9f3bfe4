#include "loopbank/study/time_plan.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "../support/test_directory.h"
#include "loopbank/study/deadline.h"
#include "loopbank/study/time_limit.h"
#include "loopbank/support/files.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;
using Names = std::vector<std::string>;

SystemTime system_time(const std::string& name, double seconds_a_step, double rest_seconds = 0.0,
                       int64_t runs = 1) {
  return {.system = name,
          .label = name,
          .tokens_a_step = 1024,
          .seconds_a_step = seconds_a_step,
          .rest_seconds = rest_seconds,
          .runs = runs};
}

/// The paper's ten, in the order of training, at the speeds of two cores of a slow Xeon, a thread
/// each.
std::vector<SystemTime> ten_systems(double slower = 1.0) {
  std::vector<SystemTime> systems;
  for (const auto& [name, tokens_per_second] :
       {std::pair{"isopar", 21.6e3}, std::pair{"loop3", 7.7e3}, std::pair{"mem-g3", 5.5e3},
        std::pair{"isoflop", 7.9e3}, std::pair{"isopar-m", 18.6e3}, std::pair{"loop7", 3.4e3},
        std::pair{"isoflop-m", 6.0e3}, std::pair{"mem-gm3", 5.2e3}, std::pair{"loop5", 4.8e3},
        std::pair{"mem-g0", 5.2e3}}) {
    systems.push_back(system_time(name, slower * 1024 / tokens_per_second, slower * 3.0));
  }
  return systems;
}

TimeBudget budget_of(double seconds, int64_t steps = 960, int64_t at_once = 2) {
  return {.seconds = seconds,
          .at_once = at_once,
          .least_steps = least_steps_of(steps),
          .most_steps = steps};
}

TEST(SecondsTogether, EachWorkerTakesTheNextRunWhenItIsDone) {
  const std::vector<SystemTime> systems = {system_time("a", 3.0), system_time("b", 1.0),
                                           system_time("c", 1.0), system_time("d", 2.0, 5.0)};
  EXPECT_DOUBLE_EQ(seconds_together(systems, 10, 1), 30 + 10 + 10 + 25);
  // One has a (30); the other b, c (20) and then d (45).
  EXPECT_DOUBLE_EQ(seconds_together(systems, 10, 2), 45.0);
  EXPECT_DOUBLE_EQ(seconds_together({}, 10, 2), 0.0);
}

TEST(SecondsTogether, ARunASeedAndNoneForWhatIsDone) {
  const std::vector<SystemTime> systems = {system_time("a", 1.0, 2.0, 3),
                                           system_time("b", 9.0, 9.0, 0)};
  EXPECT_DOUBLE_EQ(seconds_together(systems, 10, 1), 36.0);
  EXPECT_DOUBLE_EQ(seconds_together(systems, 10, 2), 24.0);
}

TEST(ChooseSteps, AsManyAsEndInTimeAndNeverMoreThanTheStudysOwn) {
  const std::vector<SystemTime> systems = {system_time("isopar", 0.1, 1.0),
                                           system_time("loop3", 0.2, 1.0)};
  const auto fewer = choose_steps(systems, budget_of(200.1, 960, 1));
  EXPECT_EQ(fewer.steps, 660);  // (200.1 - 2) / 0.3
  EXPECT_NEAR(fewer.seconds, 200.0, 1e-9);
  EXPECT_NEAR(fewer.seconds_with_all, 290.0, 1e-9);
  EXPECT_EQ(fewer.systems, (Names{"isopar", "loop3"}));
  EXPECT_TRUE(fewer.left_out.empty());
  const auto all = choose_steps(systems, budget_of(1000.0, 960, 1));
  EXPECT_EQ(all.steps, 960);
  EXPECT_NEAR(all.seconds, 290.0, 1e-9);
}

TEST(ChooseSteps, TheSlowXeonTrainsAllTenInTenMinutes) {
  const auto budget = budget_of(600.0);
  const auto choice = choose_steps(ten_systems(), budget);
  EXPECT_NEAR(choice.seconds_with_all, 837, 1);
  EXPECT_TRUE(choice.left_out.empty());
  EXPECT_EQ(choice.steps, 682);
  EXPECT_LE(choice.seconds, 600.0);
  EXPECT_GT(seconds_together(ten_systems(), 683, 2), 600.0);
}

TEST(ChooseSteps, BelowHalfOfTheStepsSystemsAreLeftOut) {
  const auto five_minutes = choose_steps(ten_systems(), budget_of(285.0));
  EXPECT_EQ(five_minutes.systems,
            (Names{"isopar", "loop3", "mem-g3", "isoflop", "isopar-m", "loop7", "isoflop-m"}));
  EXPECT_EQ(five_minutes.left_out, (Names{"mem-gm3", "loop5", "mem-g0"}));
  EXPECT_EQ(five_minutes.steps, 489);
  EXPECT_LE(five_minutes.seconds, 285.0);
  const auto three = choose_steps(ten_systems(), budget_of(180.0));
  EXPECT_EQ(three.systems, (Names{"isopar", "loop3", "mem-g3", "isoflop", "isopar-m"}));
  EXPECT_EQ(three.steps, 592);
}

TEST(ChooseSteps, IsoParAndLoop3StayWhateverTheyTake) {
  const auto budget = budget_of(20.0);
  const auto choice = choose_steps(ten_systems(3.0), budget);
  EXPECT_EQ(choice.systems, (Names{"isopar", "loop3"}));
  EXPECT_EQ(choice.steps, 480);
  EXPECT_FALSE(choice.fits(budget));
  // A machine that has no time left at all trains the same.
  EXPECT_EQ(choose_steps(ten_systems(), budget_of(-5.0)).systems, choice.systems);
}

TEST(ChooseSteps, WhatIsDoneCostsNothingAndIsNotLeftOut) {
  auto systems = ten_systems();
  for (auto& system : systems) {
    system.runs = system.system == "mem-g0" || system.system == "loop5" ? 0 : 1;
  }
  const auto choice = choose_steps(systems, budget_of(120.0));
  for (const char* done : {"mem-g0", "loop5"}) {
    EXPECT_NE(std::find(choice.systems.begin(), choice.systems.end(), done), choice.systems.end());
  }
  EXPECT_EQ(choice.left_out.size(), 5U);
}

TEST(KeepOrder, TheFourThatCompareLoopsMemoryAndDepthFirstAndOwnSystemsLast) {
  EXPECT_EQ(keep_order({"mine", "isopar", "loop3", "loop5", "loop7", "isoflop", "isopar-m",
                        "mem-gm3", "mem-g0", "mem-g3", "isoflop-m"}),
            (Names{"isopar", "loop3", "mem-g3", "isoflop", "isopar-m", "loop7", "isoflop-m",
                   "mem-gm3", "loop5", "mem-g0", "mine"}));
  EXPECT_EQ(keep_order({"b", "a"}), (Names{"b", "a"}));
}

TEST(Deadline, ASlowerMachineLosesTheLastSystemsAndNotTheTime) {
  TimePlan plan{.limit_seconds = 100.0, .steps = 10, .steps_of_config = 10, .systems = {}};
  for (const char* name : {"a", "b", "c", "d"}) {
    plan.systems.push_back(system_time(name, 2.0, 5.0));  // 25 s
  }
  Deadline deadline(100.0);
  EXPECT_FALSE(deadline.is_too_late_for("d")) << "nothing was chosen yet";
  EXPECT_FALSE(deadline.chosen().has_value());
  deadline.start(plan, {.steps = 10, .systems = {}, .left_out = {"d"}});
  EXPECT_EQ(deadline.chosen()->left_out, (Names{"d"}));
  EXPECT_EQ(deadline.rank("c"), 2U);
  EXPECT_FALSE(deadline.is_too_late_for("c"));
  deadline.count_run("a", 75.0);  // 3 times as long as planned: 75 s for the next one
  EXPECT_FALSE(deadline.is_too_late_for("c"));
  deadline.count_run("b", 225.0);  // 6 times
  EXPECT_TRUE(deadline.is_too_late_for("c"));
  EXPECT_FALSE(deadline.is_too_late_for("b")) << "the first two are trained however late it is";
  deadline.leave_out("c");
  deadline.leave_out("c");
  EXPECT_EQ(deadline.chosen()->left_out, (Names{"d", "c"}));
}

TEST(TimePlan, IsStoredAndReadAgain) {
  const TestDirectory directory;
  EXPECT_FALSE(read_time_plan(directory.path()).has_value());
  write_time_plan(directory.path(), {.limit_seconds = 300.0,
                                     .steps = 310,
                                     .steps_of_config = 960,
                                     .systems = {system_time("loop3", 0.1, 2.5)}});
  const auto plan = read_time_plan(directory.path());
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->steps, 310);
  EXPECT_EQ(plan->steps_of_config, 960);
  EXPECT_EQ(plan->limit_seconds, 300.0);
  ASSERT_NE(plan->find("loop3"), nullptr);
  EXPECT_EQ(plan->find("loop3")->seconds_a_step, 0.1);
  EXPECT_EQ(plan->find("loop3")->rest_seconds, 2.5);
  EXPECT_EQ(plan->find("loop5"), nullptr);
  write_file_atomically(directory.path() / "time_plan.json", "{\"steps\": ");
  expect_contains(error_of(ErrorCode::kData, [&] { (void)read_time_plan(directory.path()); }),
                  "time_plan.json:1:10: expected the steps that were chosen for the study's time");
}

TEST(TimePlan, AsManyValidationsAndCheckpointsInFewerSteps) {
  EXPECT_EQ(scaled_interval(160, 960, 960), 160);
  EXPECT_EQ(scaled_interval(160, 250, 960), 42);  // at 42, 84, .. 210 and 250: six, as before
  EXPECT_EQ(scaled_interval(100, 3, 960), 1);
  EXPECT_EQ(scaled_interval(0, 250, 960), 0);  // only after the last
}

TEST(TimePlan, ANoteWhereStepsOrSystemsAreMissing) {
  EXPECT_EQ(note_on({.limit_seconds = 300, .steps = 960, .steps_of_config = 960, .left_out = {}}),
            "");
  const ChosenSteps chosen{
      .limit_seconds = 300, .steps = 310, .steps_of_config = 960, .left_out = {"Loop-5"}};
  const auto note = note_on(chosen);
  expect_contains(note, "Steps were chosen for the time available (5:00): 310 of 960.");
  expect_contains(note, "Fewer steps teach less");
  expect_contains(note, "Left out for lack of time: Loop-5.");
}

TEST(TimeReport, TellsTheSpeedTheWholeAndWhatIsDoneInstead) {
  TimeReport report{.budget = budget_of(600.0), .limit_seconds = 620.0};
  report.plan = {.steps_of_config = 960, .systems = ten_systems()};
  report.plan.systems[0].label = "IsoPar";
  report.choice = choose_steps(report.plan.systems, report.budget);
  report.plan.steps = report.choice.steps;
  auto text = describe(report);
  expect_contains(text,
                  "This machine trains IsoPar at 21.6 k tokens/s: 10 systems of 960 steps "
                  "would take 13:");
  expect_contains(text,
                  fmt::format("{} steps of each fit into 10:20: IsoPar 0:", report.plan.steps));
  expect_contains(text, "in all, 2 at a time.");

  report.budget = budget_of(1000.0);
  report.choice = choose_steps(report.plan.systems, report.budget);
  expect_contains(describe(report), "That fits into 10:20: IsoPar ");

  report.budget = budget_of(180.0);
  report.choice = choose_steps(report.plan.systems, report.budget);
  text = describe(report);
  expect_contains(text, "592 steps of 5 systems fit into 10:20: ");
  expect_contains(text, "Left out for lack of time: loop7, isoflop-m, ");

  report.budget = budget_of(1.0);
  report.choice = choose_steps(report.plan.systems, report.budget);
  expect_contains(describe(report), "neither do 480 steps of IsoPar and loop3 alone");

  report.origin = TimeReport::Origin::kStored;
  report.plan.steps = 310;
  expect_contains(describe(report), "goes on with the 310 of 960 steps that were chosen");
}

}  // namespace
}  // namespace loopbank
