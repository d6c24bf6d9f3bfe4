#include "loopbank/study/dead_parts.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "../support/test_directory.h"
#include "loopbank/study/page_data.h"
#include "loopbank/train/run_config.h"
#include "report_sample.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::full_results;
using testing::TestDirectory;

TEST(ReadRunAlarms, ThoseThatWereUpAtTheEndStandInTheOrderInWhichTheyCame) {
  const TestDirectory directory;
  const auto path = directory.write("metrics.jsonl",
                                    R"({"step": 1, "loss": 3.0, "loops_by_layer": [1.5, 1.5]}
{"step": 30, "alarm": "memory_does_nothing", "since": 10, "layers": [], "all_layers": true}
{"step": 40, "alarm": "loops_at_one", "since": 20, "layers": [1], "all_layers": false}
{"step": 50, "alarm": "loops_at_most", "since": 20, "layers": [0], "all_layers": false}
{"step": 60, "alarm": "loops_at_one", "since": 41, "layers": [0, 1], "all_layers": true}
{"step": 70, "alarm": "loops_at_most", "layers": [], "all_layers": false, "over": true}
{"step": 80, "alarm": "of_later_versions", "since": 70, "layers": [0], "all_layers": false}
)");
  const auto alarms = read_run_alarms(path, /*seed=*/7);
  ASSERT_EQ(alarms.size(), 3U);
  EXPECT_EQ(alarms[0].kind, "memory_does_nothing");
  EXPECT_EQ(alarms[0].seed, 7);
  EXPECT_TRUE(alarms[0].layers.empty());
  EXPECT_EQ(alarms[0].message, "memory banks do not change the loss");
  EXPECT_EQ(alarms[1].kind, "loops_at_one");
  EXPECT_EQ(alarms[1].step, 40) << "when it came";
  EXPECT_EQ(alarms[1].layers, (std::vector<int64_t>{0, 1})) << "as it is at the end";
  EXPECT_EQ(alarms[2].message, "of_later_versions");
}

TEST(ReadRunAlarms, ABrokenRowIsToldByItsLine) {
  const TestDirectory directory;
  const auto path =
      directory.write("metrics.jsonl", R"({"step": 1, "alarm": "loops_at_one", "layers": ["one"]})"
                                       "\n");
  const auto error = error_of(ErrorCode::kData, [&] { (void)read_run_alarms(path, 1); });
  expect_contains(error, "metrics.jsonl:1");
  expect_contains(error, "\"layers\" expects a list of whole numbers");
}

/// Rows of a Loop-2 of one layer that measure all that its alarms watch.
std::string rows_of_validations(int count) {
  std::string rows;
  for (int row = 1; row <= count; ++row) {
    const nlohmann::ordered_json json = {
        {"step", 100 * row},
        {"loss", 3.0},
        {"loops_by_layer", {1.5}},
        {"validation_loss", 3.0},
        {"validation_loss_by_loops", {{"1", 3.5}, {"2", 3.0}}},
        {"loop_change_by_layer", {0.5}},
        {"router_gradient_by_layer", {0.1}},
    };
    rows += json.dump() + "\n";
  }
  return rows;
}

TEST(WasWatched, ARunThatIsLongEnoughAndMeasuresWhatTheAlarmsWatch) {
  const TestDirectory directory;
  RunConfig config;
  config.model.num_hidden_layers = 1;
  config.model.max_loops = 2;
  config.training.steps = 300;
  config.training.halting_alarm_steps = 2;
  config.training.alarm_validations = 3;
  config.schedule.warmup_fraction = 0.0;
  config.training.ponder_warmup_fraction = 0.0;
  const auto three = directory.write("three.jsonl", rows_of_validations(3));
  EXPECT_TRUE(was_watched(config, three));
  EXPECT_FALSE(was_watched(config, directory.write("two.jsonl", rows_of_validations(2))));
  EXPECT_FALSE(was_watched(config, directory.path() / "none.jsonl"));
  // Of a program that knew the alarms of halting alone.
  std::string older;
  for (int step = 1; step <= 300; ++step) {
    older += fmt::format(
        R"({{"step": {}, "loss": 3.0, "loops_by_layer": [1.5], "validation_loss": 3.0}})"
        "\n",
        step);
  }
  EXPECT_FALSE(was_watched(config, directory.write("older.jsonl", older)));
  auto late = config;
  late.schedule.warmup_fraction = 0.5;  // rows before step 151 do not count
  EXPECT_FALSE(was_watched(late, three));
  auto off = config;
  off.training.halting_alarm_steps = 0;
  EXPECT_TRUE(was_watched(off, three));
  off.training.alarm_validations = 0;
  EXPECT_FALSE(was_watched(off, three));
}

PartResult part_with_alarms() {
  auto part = study_result_from_json(full_results()).parts.at(0);
  auto& system = part.systems.at(1);  // Loop-3
  system.seeds = {1, 2, 3};
  system.layers = 4;
  system.alarms = {
      {.seed = 1, .step = 300, .kind = "loops_do_nothing", .layers = {}, .message = "no use"},
      {.seed = 1, .step = 300, .kind = "loops_at_one", .layers = {0, 1}, .message = "at one"},
      {.seed = 3, .step = 500, .kind = "loops_do_nothing", .layers = {}, .message = "no use"}};
  return part;
}

TEST(DeadParts, SeedsWithTheSameFailureInTheSameLayersAreOne) {
  auto part = part_with_alarms();
  const auto all = dead_parts_of(part);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].system, "Loop-3");
  EXPECT_EQ(all[0].seeds, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(all[0].where(), "the whole model");
  EXPECT_EQ(all[1].where(), "layers 1, 2 of 4") << "as people count them";
  EXPECT_EQ(dead_parts(part, part.systems.at(1).name),
            "no use (the whole model, 2 of 3 seeds); at one (layers 1, 2 of 4, 1 of 3 seeds)");
  EXPECT_EQ(dead_parts(part, part.systems.at(0).name), "");
  EXPECT_EQ(dead_parts(part, "none of that name"), "");
  std::erase_if(part.systems, [](const SystemResult& system) { return system.name != "loop3"; });
  part.systems[0].watched_seeds = {1, 2, 3};
  EXPECT_EQ(format_dead_parts(part),
            "Dead parts:\n  Loop-3: no use, the whole model, 2 of 3 seeds\n"
            "  Loop-3: at one, layers 1, 2 of 4, 1 of 3 seeds\n");
  part.systems[0].watched_seeds = {1, 3};
  expect_contains(format_dead_parts(part), "1 of 3 seeds\n  1 of 3 runs not watched: ");
}

TEST(DeadParts, NoneFoundIsSaidOfTheRunsThatWereWatchedAlone) {
  auto part = part_with_alarms();
  std::erase_if(part.systems, [](const SystemResult& system) {
    return system.loops > 0 && system.name != "loop3";
  });
  auto& system = *std::find_if(part.systems.begin(), part.systems.end(),
                               [](const SystemResult& one) { return one.loops > 0; });
  system.alarms.clear();
  const std::string why = "alarms off, or fewer validations than an alarm waits for.\n";
  EXPECT_EQ(format_dead_parts(part), "Dead parts: 3 of 3 runs not watched: " + why);
  system.watched_seeds = {2, 3};
  EXPECT_EQ(format_dead_parts(part),
            "Dead parts: none found in 2 of 3 runs. 1 of 3 runs not watched: " + why);
  system.watched_seeds = {1, 2, 3};
  EXPECT_EQ(format_dead_parts(part), "Dead parts: none found in 3 of 3 runs.\n");
  std::erase_if(part.systems, [](const SystemResult& one) { return one.loops > 0; });
  EXPECT_EQ(format_dead_parts(part), "");
}

TEST(DeadParts, TheyStandInResultsAndOnThePage) {
  auto results = study_result_from_json(full_results());
  results.parts = {part_with_alarms()};
  results.parts[0].systems[1].watched_seeds = {1, 2, 3};
  const auto again = study_result_from_json(to_json(results));
  ASSERT_EQ(again.parts.at(0).systems.at(1).alarms.size(), 3U);
  EXPECT_EQ(again.parts.at(0).systems.at(1).watched_seeds, (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(again.parts.at(0).systems.at(1).alarms.at(1).layers, (std::vector<int64_t>{0, 1}));
  const auto dead = page_data(again, views_of(again))["parts"][0]["dead"];
  ASSERT_EQ(dead["rows"].size(), 2U);
  EXPECT_EQ(dead["rows"][0].dump(),
            R"({"system":"Loop-3","what":"no use","where":"the whole model","seeds":[1,3],)"
            R"("of_seeds":3})");
}

}  // namespace
}  // namespace loopbank
