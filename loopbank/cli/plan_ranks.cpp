#include "loopbank/cli/plan_ranks.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "loopbank/cli/setting_flags.h"
#include "loopbank/study/rank_plan.h"
#include "loopbank/support/byte_size.h"
#include "loopbank/support/error.h"
#include "loopbank/support/progress.h"
#include "loopbank/support/statistics.h"
#include "loopbank/train/batch_step.h"
#include "loopbank/train/benchmark_steps.h"
#include "loopbank/train/device.h"

namespace loopbank::cli {
namespace {

constexpr int kMeasuredSteps = 3;

/// FLOP/s of training this model here: steps of one pass.
double measure_device_flops(const RunConfig& config) {
  auto one_pass = config;
  one_pass.training.batch = rows_a_pass(config.training, /*ranks=*/1);
  one_pass.training.micro_batch = 0;
  BenchmarkSteps steps(one_pass, choose_device(config.training.device));
  (void)steps.run();
  std::vector<double> seconds;
  for (int i = 0; i < kMeasuredSteps; ++i) {
    seconds.push_back(steps.run());
  }
  const double flops = model_cost(config.model, config.training.sequence_length).training_flops;
  return flops * static_cast<double>(steps.tokens_per_step()) / median(seconds);
}

double device_flops_of(const RunConfig& config, const std::string& text) {
  if (text == "measured") {
    return measure_device_flops(config);
  }
  double value = 0.0;
  const auto* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error != std::errc() || end != last || !std::isfinite(value) || value <= 0.0) {
    fail(ErrorCode::kConfig,
         "--device-flops: expected FLOP/s that a device sustains in training such as 3e14, or "
         "measured, got \"{}\".",
         text);
  }
  return value;
}

void expect_a_run(const RunConfig& config, const char* flag) {
  if (config.training.batch < 1 || config.training.sequence_length < 1) {
    fail(ErrorCode::kConfig,
         "{}: expected a run with training.batch and training.sequence_length, got a model alone. "
         "Give them with --set.",
         flag);
  }
}

RankPlanOptions options_of(const RunConfig& config, const PlanRanksFlags& flags) {
  const bool several = std::any_of(flags.ranks.values.begin(), flags.ranks.values.end(),
                                   [](int64_t ranks) { return ranks > 1; });
  if (several && flags.bandwidth.empty()) {
    fail(ErrorCode::kConfig,
         "--ranks: expected --bandwidth, the bytes a second between ranks such as 50GB/s, got "
         "none.");
  }
  if (flags.device_flops.empty()) {
    fail(ErrorCode::kConfig,
         "--ranks: expected --device-flops, FLOP/s such as 3e14 or measured, got none.");
  }
  RankPlanOptions options;
  options.shards_optimizer = flags.zero == 1;
  options.network.latency_seconds = flags.latency;
  options.network.ranks_a_node = flags.ranks_a_node;
  options.network.order = flags.exchange == "ring" ? SumOrder::kRing : SumOrder::kAllToAll;
  if (!flags.bandwidth.empty()) {
    options.network.bandwidth = parse_bandwidth("--bandwidth", flags.bandwidth);
  }
  if (!flags.node_bandwidth.empty()) {
    options.network.node_bandwidth = parse_bandwidth("--node-bandwidth", flags.node_bandwidth);
  }
  if (!flags.device_bandwidth.empty()) {
    options.device.memory_bandwidth = parse_bandwidth("--device-bandwidth", flags.device_bandwidth);
  }
  options.device.flops = device_flops_of(config, flags.device_flops);
  return options;
}

}  // namespace

void add_plan_ranks_flags(CLI::App& command, PlanRanksFlags& flags) {
  comma_separated(add_setting_flag(
      command, Field("ranks", &flags.ranks,
                     "predict a step on so many ranks, with commas between: time and memory")
                   .range(1, 1 << 20)));
  command.add_option("--bandwidth", flags.bandwidth,
                     "Bytes a second that a rank sends to those of other nodes, such as 50GB/s");
  command.add_option("--node-bandwidth", flags.node_bandwidth,
                     "The same within a node (as --bandwidth)");
  add_setting_flag(command,
                   Field("ranks_a_node", &flags.ranks_a_node, "ranks that share a node").minimum(1))
      ->capture_default_str();
  add_setting_flag(
      command,
      Field("latency", &flags.latency, "seconds until an exchange begins to move").minimum(0))
      ->capture_default_str();
  command.add_option("--device-flops", flags.device_flops,
                     "FLOP/s that a rank sustains in training, or measured: on this machine");
  command.add_option("--device-bandwidth", flags.device_bandwidth,
                     "Bytes a second of a rank's memory, for the optimizer (left out)");
  command.add_option(
      "--device-memory", flags.device_memory,
      "A device's memory, such as 141GB: chooses recompute and micro_batch that fit");
  add_setting_flag(command, Field("zero", &flags.zero,
                                  "optimizer state sharded over ranks: 1, as training does; 0: DDP")
                                .range(0, 1))
      ->capture_default_str();
  add_setting_flag(command, Field("exchange", &flags.exchange,
                                  "how gradients are summed: ring (between GPUs) or all-to-all "
                                  "(between CPUs)")
                                .choices({"ring", "all-to-all"}))
      ->capture_default_str();
}

nlohmann::ordered_json fit_device(RunConfig& config, const PlanRanksFlags& flags, int64_t ranks) {
  if (flags.device_memory.empty()) {
    return nullptr;
  }
  expect_a_run(config, "--device-memory");
  const double bytes = parse_bytes("--device-memory", flags.device_memory);
  const RankShares shares{.ranks = ranks, .shards_optimizer = flags.zero == 1};
  const auto fit = fit_to_memory(config, bytes, shares);
  if (!fit) {
    config.training.micro_batch = 1;
    config.training.recompute = "layer";
    expect_enough_memory(config, (1.0 - kMemoryReserve) * bytes, config.training.device, shares);
  }
  config.training.recompute = fit->recompute;
  config.training.micro_batch = fit->micro_batch;
  return {{"device_memory_bytes", bytes},
          {"recompute", fit->recompute},
          {"micro_batch", fit->micro_batch},
          {"memory_bytes", fit->memory.total()}};
}

nlohmann::ordered_json predict_ranks(const RunConfig& config, const PlanRanksFlags& flags,
                                     bool json) {
  if (flags.ranks.values.empty()) {
    return nullptr;
  }
  expect_a_run(config, "--ranks");
  const auto options = options_of(config, flags);
  std::vector<RankPlan> plans;
  auto results = nlohmann::ordered_json::array();
  for (const auto ranks : flags.ranks.values) {
    auto fitted = config;
    (void)fit_device(fitted, flags, ranks);
    plans.push_back(plan_ranks(fitted, ranks, options));
    results.push_back(to_json(plans.back()));
    results.back()["recompute"] = fitted.training.recompute;
  }
  if (!json) {
    fmt::print("\na step on several ranks, {:.3g} FLOP/s each, {}\n{}", options.device.flops,
               options.shards_optimizer ? "optimizer state sharded (ZeRO-1)" : "DDP",
               describe(plans));
  }
  return {{"device_flops", options.device.flops},
          {"bandwidth_bytes_per_second", options.network.bandwidth},
          {"zero", flags.zero},
          {"exchange", flags.exchange},
          {"results", results}};
}

}  // namespace loopbank::cli
