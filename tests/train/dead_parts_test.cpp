/// Trains each failure of train/alarm_rules.h on purpose, and healthy runs that have none: models of
/// two layers on a few sentences in bytes, seconds each.

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>

#include "loopbank/model/weights.h"
#include "loopbank/support/log.h"
#include "loopbank/train/alarms.h"
#include "small_run.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using testing::quiet;
using testing::read_rows;
using testing::TestDirectory;

using Kinds = std::set<std::string>;

/// A Loop-3 with memory that learns in 120 steps, with a validation every 20.
RunConfig run_of_seconds(const TestDirectory& directory) {
  auto run = testing::small_run(directory);
  run.model.hidden_size = 32;
  run.model.intermediate_size = 64;
  run.model.max_loops = 3;
  run.model.loop_scale_init = 0.5413;
  run.model.memory_gate_bias_init = 0.0;
  run.model.local_memory_slots = 8;
  run.model.global_memory_slots = 4;
  run.training.steps = 120;
  run.training.validate_every = 20;
  run.training.checkpoint_every = 0;
  run.training.halting_alarm_steps = 40;
  run.training.alarm_validations = 3;
  run.training.tensorboard = false;
  run.schedule.warmup_fraction = 0.1;
  run.schedule.peak_rate = 4e-3;
  return run;
}

/// Rows of alarms of a run that is trained.
std::vector<nlohmann::json> alarms_of(const RunConfig& run, const fs::path& out) {
  set_log_level(LogLevel::kQuiet);
  (void)train(run, quiet(out));
  set_log_level(LogLevel::kInfo);
  auto rows = read_rows(out / "metrics.jsonl");
  std::erase_if(rows, [](const auto& row) { return !row.contains("alarm"); });
  return rows;
}

/// Kinds that are reported at the end of a run.
Kinds dead_at_end(const RunConfig& run, const fs::path& out) {
  Kinds kinds;
  for (const auto& row : alarms_of(run, out)) {
    const auto kind = row["alarm"].get<std::string>();
    if (row.contains("over")) {
      kinds.erase(kind);
    } else {
      kinds.insert(kind);
    }
  }
  return kinds;
}

TEST(DeadParts, LoopsThatStartNearZeroBehindAnOpenFirstDoNothing) {
  const TestDirectory directory;
  auto run = run_of_seconds(directory);
  run.model.local_memory_slots = run.model.global_memory_slots = 0;
  run.model.first_loop_scale_init = 0.5413;
  run.model.loop_scale_init = -12.0;
  run.optimizer.loop_scale_multiplier = 0.1;
  const auto kinds = dead_at_end(run, directory.path() / "run");
  EXPECT_EQ(kinds.count("loops_do_nothing"), 1U);
  EXPECT_EQ(kinds.count("loops_change_nothing"), 1U);
  EXPECT_EQ(kinds.count("loops_at_one"), 0U) << "the mean loops do not tell";
}

TEST(DeadParts, GatesThatStartShutStayShutAndTheMemoryDoesNothing) {
  const TestDirectory directory;
  auto run = run_of_seconds(directory);
  run.model.memory_gate_bias_init = -20.0;
  EXPECT_EQ(dead_at_end(run, directory.path() / "run"),
            (Kinds{"local_gates_at_zero", "global_gates_at_zero", "memory_does_nothing"}));
}

TEST(DeadParts, GatesThatStartWideOpenStayOpen) {
  const TestDirectory directory;
  auto run = run_of_seconds(directory);
  run.model.memory_gate_bias_init = 20.0;
  EXPECT_EQ(dead_at_end(run, directory.path() / "run"),
            (Kinds{"local_gates_at_one", "global_gates_at_one"}));
}

TEST(DeadParts, ARouterThatStopsAllTokensHasNoGradient) {
  const TestDirectory directory;
  auto run = run_of_seconds(directory);
  run.model.router_bias_init = 20.0;
  const auto kinds = dead_at_end(run, directory.path() / "run");
  for (const char* kind : {"loops_at_one", "loops_do_nothing", "router_without_gradient"}) {
    EXPECT_EQ(kinds.count(kind), 1U) << kind;
  }
  EXPECT_EQ(kinds.count("loops_change_nothing"), 0U) << "they would, if a token got there";
}

TEST(DeadParts, ARouterThatStopsNoneHasNoGradient) {
  const TestDirectory directory;
  auto run = run_of_seconds(directory);
  run.model.router_bias_init = -20.0;
  EXPECT_EQ(dead_at_end(run, directory.path() / "run"),
            (Kinds{"loops_at_most", "router_without_gradient"}));
}

TEST(DeadParts, AStrongPullTakesAllLayersToOneLoop) {
  const TestDirectory directory;
  auto run = run_of_seconds(directory);
  run.model.local_memory_slots = run.model.global_memory_slots = 0;
  run.model.ponder_weight = 5.0;
  run.optimizer.router_multiplier = 10.0;
  run.training.steps = 240;
  const auto kinds = dead_at_end(run, directory.path() / "run");
  EXPECT_EQ(kinds.count("loops_at_one"), 1U);
}

/// A model to start from whose keys are all 0, so that every slot weighs the same.
fs::path model_with_equal_keys(const TestDirectory& directory, const ModelConfig& config) {
  LanguageModel model(config);
  model.parameters().initialize(/*seed=*/5);
  const at::NoGradGuard no_grad;
  for (const auto& parameter : model.parameters().all()) {
    if (parameter.name.ends_with("memory.keys")) {
      parameter.value.detach().zero_();
    }
  }
  const auto folder = directory.path() / "equal-keys";
  fs::create_directories(folder);
  save_model(model, folder);
  Tokenizer::bytes().save(folder / "tokenizer.json");
  return folder;
}

TEST(DeadParts, BanksWhoseKeysStayEqualAreReadUniformly) {
  const TestDirectory directory;
  auto run = run_of_seconds(directory);
  run.training.init = model_with_equal_keys(directory, run.model).string();
  run.optimizer.memory_multiplier = 0.0;  // keys and values stay
  const auto kinds = dead_at_end(run, directory.path() / "run");
  EXPECT_EQ(kinds.count("local_memory_read_uniformly"), 1U);
  EXPECT_EQ(kinds.count("global_memory_read_uniformly"), 1U);
  EXPECT_EQ(kinds.count("local_gates_at_zero"), 0U);
}

TEST(DeadParts, HealthyRunsRaiseNoAlarm) {
  struct Healthy {
    std::string name;
    int64_t loops;
    int64_t slots;
    double gate;
  };
  for (const auto& [name, loops, slots, gate] :
       {Healthy{"isopar", 0, 0, 0.0}, Healthy{"loop3", 3, 0, 0.0}, Healthy{"loop7", 7, 0, 0.0},
        Healthy{"mem-gm3", 3, 8, -3.0}, Healthy{"mem-g0", 3, 8, 0.0},
        Healthy{"mem-g3", 3, 8, 3.0}}) {
    const TestDirectory directory;
    auto run = run_of_seconds(directory);
    run.model.max_loops = loops;
    run.model.local_memory_slots = slots;
    run.model.global_memory_slots = slots / 2;
    run.model.memory_gate_bias_init = gate;
    run.optimizer.loop_scale_multiplier = 10.0;
    const auto rows = alarms_of(run, directory.path() / name);
    EXPECT_TRUE(rows.empty()) << name << ": " << rows.front();
  }
}

}  // namespace
}  // namespace loopbank
