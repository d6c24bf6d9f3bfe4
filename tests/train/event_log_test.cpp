/// TensorBoard's files beside metrics.jsonl: what rows become, and that no step stands there twice.

#include "loopbank/train/event_log.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/train/event_tags.h"
#include "loopbank/train/metrics.h"
#include "small_run.h"
#include "tests/support/file_size_limit.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using testing::error_of;
using testing::expect_contains;
using testing::quiet;
using testing::small_run;
using testing::stopping_after;
using testing::TestDirectory;

std::map<std::string, double> scalars_of(const std::string& row) {
  std::map<std::string, double> values;
  for (const auto& scalar : scalars_of_row(Json::parse(row))) {
    EXPECT_TRUE(values.emplace(scalar.tag, scalar.value).second) << scalar.tag;
  }
  return values;
}

/// Steps of the events of a run's files, in their order.
std::vector<int64_t> event_steps(const fs::path& out) {
  std::vector<int64_t> steps;
  for (const auto& file : event_files(out)) {
    const auto content = read_file(file);
    const auto records = event_records(content);
    EXPECT_EQ(records.back().end, content.size()) << file;
    for (const auto& record : records) {
      if (!record.is_start) {
        steps.push_back(record.step);
      }
    }
  }
  return steps;
}

std::vector<int64_t> row_steps(const fs::path& out) {
  std::vector<int64_t> steps;
  for (const auto& row : testing::read_rows(out / "metrics.jsonl")) {
    steps.push_back(row.at("step"));
  }
  return steps;
}

TEST(EventTags, AStepHasItsLossInPartsAndItsLoopsByLayer) {
  const auto values = scalars_of(
      R"({"step": 3, "loss": 2.5, "tokens": 96, "tokens_per_second": 10.0, "mean_loops": 1.25,
          "learning_rate": 0.001, "gradient_norm": null, "ponder": 0.5, "ponder_weight": 0.25,
          "loops_by_layer": [1.5, 1.0], "skipped": true, "of_later_versions": 7})");
  EXPECT_EQ(values.size(), 12U);
  EXPECT_EQ(values.at("train/loss"), 2.5);
  EXPECT_EQ(values.at("train/cross_entropy"), 2.375);
  EXPECT_EQ(values.at("train/ponder"), 0.5);
  EXPECT_EQ(values.at("train/ponder_weight"), 0.25);
  EXPECT_EQ(values.at("train/tokens"), 96);
  EXPECT_EQ(values.at("train/tokens_per_second"), 10.0);
  EXPECT_EQ(values.at("train/learning_rate"), 0.001);
  EXPECT_TRUE(std::isnan(values.at("train/gradient_norm")));
  EXPECT_EQ(values.at("train/skipped"), 1.0);
  EXPECT_EQ(values.at("loops/mean"), 1.25);
  EXPECT_EQ(values.at("loops/layer_0"), 1.5);
  EXPECT_EQ(values.at("loops/layer_1"), 1.0);
  EXPECT_EQ(scalars_of(R"({"step": 1, "loss": 2.5, "ponder": 0.5})").at("train/cross_entropy"),
            2.5);
}

TEST(EventTags, AValidationHasGatesAndScalesByLayer) {
  const auto values = scalars_of(
      R"({"step": 3, "validation_loss": 2.5, "validation_bpb": 1.25, "mean_loops": 1.5,
          "validation_loss_by_loops": {"1": 3.0, "2": 2.5}, "loops_by_layer": [1.5],
          "local_gate_by_layer": [0.25], "global_gate_by_layer": [0.75],
          "validation_loss_without_memory": 2.75, "local_focus_by_layer": [0.5],
          "global_focus_by_layer": [0.4], "loop_change_by_layer": [0.3],
          "router_gradient_by_layer": [0.001],
          "loop_scale_by_layer": [[0.5, 0.125], []]})");
  EXPECT_EQ(values, (std::map<std::string, double>{{"validation/loss", 2.5},
                                                   {"validation/bpb", 1.25},
                                                   {"validation/mean_loops", 1.5},
                                                   {"validation_loss_by_loops/1", 3.0},
                                                   {"validation_loss_by_loops/2", 2.5},
                                                   {"validation_loops/layer_0", 1.5},
                                                   {"local_gates/layer_0", 0.25},
                                                   {"global_gates/layer_0", 0.75},
                                                   {"validation/loss_without_memory", 2.75},
                                                   {"local_focus/layer_0", 0.5},
                                                   {"global_focus/layer_0", 0.4},
                                                   {"loop_changes/layer_0", 0.3},
                                                   {"router_gradients/layer_0", 0.001},
                                                   {"loop_scales/layer_0_loop_1", 0.5},
                                                   {"loop_scales/layer_0_loop_2", 0.125}}));
}

TEST(EventTags, EvaluationsAndAlarmsHaveTheirs) {
  EXPECT_EQ(scalars_of(R"({"step": 3, "task": "piqa", "value": 0.5, "bpb": 1.5, "max_loops": 3})"),
            (std::map<std::string, double>{{"evaluation/piqa:max_loops=3", 0.5},
                                           {"evaluation_bpb/piqa:max_loops=3", 1.5}}));
  EXPECT_EQ(scalars_of(R"({"step": 3, "suite": "math", "value": null, "bpb": 1, "max_loops": 1})")
                .count("evaluation/math:max_loops=1"),
            1U);
  EXPECT_EQ(scalars_of(R"({"step": 3, "alarm": "loops_at_one", "since": 1, "layers": [0, 2]})"),
            (std::map<std::string, double>{{"alarms/loops_at_one", 2.0}}));
  const auto of_model = [](const std::string& state) {
    return scalars_of(R"({"step": 3, "alarm": "loops_do_nothing", "layers": [], )" + state + "}")
        .at("alarms/loops_do_nothing");
  };
  EXPECT_EQ(of_model(R"("since": 1, "all_layers": true)"), 1.0);
  EXPECT_EQ(of_model(R"("all_layers": false, "over": true)"), 0.0);
  EXPECT_TRUE(scalars_of(R"({"step": 3, "other": 1})").empty());
}

TEST(EventLog, ARunHasAnEventForEachRowAndAResumedOneNoneTwice) {
  const TestDirectory directory;
  auto run = small_run(directory);
  run.training.steps = 7;
  run.training.checkpoint_every = 3;
  const auto out = directory.path() / "run";
  (void)train(run, stopping_after(out, 5));
  // Killed behind the checkpoint of step 3: that of step 5 is not there, and a record is torn.
  fs::remove_all(checkpoint_path(out, 5));
  ASSERT_EQ(event_files(out).size(), 1U);
  const auto first = event_files(out).front();
  const auto before = read_file(first);
  {
    std::ofstream torn(first, std::ios::binary | std::ios::app);
    torn << event_record({.step = 6}).substr(0, 20);
  }
  (void)train(run, quiet(out, ResumeMode::kResume));
  const std::vector<int64_t> steps = {1, 2, 3, 3, 4, 5, 6, 6, 7, 7};
  EXPECT_EQ(row_steps(out), steps);
  EXPECT_EQ(event_steps(out), steps);
  ASSERT_EQ(event_files(out).size(), 2U);
  const auto kept = read_file(first);
  EXPECT_EQ(kept, before.substr(0, kept.size()));
  // Readers that watched the first run drop what it had behind the checkpoint.
  const auto records = event_records(read_file(event_files(out).back()));
  EXPECT_TRUE(records.at(1).is_start);
  EXPECT_EQ(records.at(1).step, 4);
}

TEST(EventLog, WhatIsMissingIsWrittenFromTheRows) {
  const TestDirectory directory;
  auto run = small_run(directory);
  const auto out = directory.path() / "run";
  run.training.tensorboard = false;
  (void)train(run, stopping_after(out, 2));
  EXPECT_TRUE(event_files(out).empty());
  run.training.tensorboard = true;
  (void)train(run, stopping_after(out, 2, ResumeMode::kResume));
  EXPECT_EQ(event_steps(out), row_steps(out));
  // The last file is lost, the one before is damaged in its middle.
  (void)train(run, stopping_after(out, 1, ResumeMode::kResume));
  ASSERT_EQ(event_files(out).size(), 2U);
  fs::remove(event_files(out).back());
  auto content = read_file(event_files(out).front());
  content[content.size() / 2] ^= 1;
  write_file_atomically(event_files(out).front(), content);
  (void)train(run, quiet(out, ResumeMode::kResume));
  EXPECT_EQ(event_steps(out), row_steps(out));
  EXPECT_EQ(row_steps(out), (std::vector<int64_t>{1, 2, 3, 3, 4, 5, 6, 6}));
}

TEST(EventLog, ANewRunDropsWhatWasThereAndLeavesOtherFiles) {
  const TestDirectory directory;
  const auto foreign = directory.write("events.out.tfevents.123.host", "of another program");
  const auto own = directory.write("events.out.tfevents.4000000000.loopbank", "not whole");
  EventLog log(directory.path(), {}, 0);
  log.write(Json{{"step", 1}, {"task", 5}});
  EXPECT_TRUE(fs::exists(foreign));
  EXPECT_FALSE(fs::exists(own));
  ASSERT_EQ(event_files(directory.path()).size(), 1U);  // a later name than any before
  EXPECT_EQ(event_files(directory.path()).front().filename(),
            "events.out.tfevents.4000000001.loopbank");
  EXPECT_EQ(event_steps(directory.path()), std::vector<int64_t>{1});  // a row without tags
}

TEST(EventLog, AFullDiskIsNamedAndLeavesAFileThatCanBeRead) {
  const TestDirectory directory;
  EventLog log(directory.path(), {}, 0);
  const auto file = event_files(directory.path()).front();
  const auto size = fs::file_size(file);
  const auto message = error_of(ErrorCode::kCheckpoint, [&] {
    const testing::FileSizeLimit limit(size + 30);
    log.write(Json{{"step", 1}, {"loss", 2.0}});
  });
  expect_contains(message, file.string() + ": cannot write: File too large. Nothing saved before");
  EXPECT_EQ(fs::file_size(file), size + 30);
  EXPECT_EQ(event_records(read_file(file)).size(), 2U);
}

}  // namespace
}  // namespace loopbank
