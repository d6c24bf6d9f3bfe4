/// loopbank bench: the speed of matrix products, ops, training steps and decoding on this machine.

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/cli/bench_decode.h"
#include "loopbank/cli/bench_exit.h"
#include "loopbank/cli/bench_growth.h"
#include "loopbank/cli/bench_ops.h"
#include "loopbank/cli/bench_peers.h"
#include "loopbank/cli/bench_ranks.h"
#include "loopbank/cli/bench_serve.h"
#include "loopbank/cli/command.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/model/cost.h"
#include "loopbank/ops/gemm/gemm_peak.h"
#include "loopbank/support/error.h"
#include "loopbank/support/log.h"
#include "loopbank/support/statistics.h"
#include "loopbank/train/benchmark_steps.h"
#include "loopbank/train/device.h"
#include "loopbank/train/op_times.h"

namespace loopbank::cli {
namespace {

constexpr double kGiga = 1e9;
constexpr int64_t kWarmupSteps = 2;
constexpr size_t kOpsShown = 20;
constexpr int64_t kAlternations = 5;  // turns of ours and the twin's, so that noise meets both

struct BenchFlags {
  std::string config;
  std::vector<std::string> overrides;
  std::string dtype;
  std::string device = "auto";
  int64_t steps = 10;
  std::string against;  // "" | pytorch
  std::string python;   // "": find_python's
  std::string reference;
  bool json = false;
};

at::ScalarType dtype_of(const std::string& name) {
  return name == "fp32" ? at::kFloat : at::kBFloat16;
}

void run_gemm(const BenchFlags& flags) {
  const auto device = choose_device(flags.device, "--device");
  auto json = nlohmann::ordered_json::object();
  json["device"] = device.str();
  json["threads"] = at::get_num_threads();
  for (const auto* name : {"fp32", "bf16"}) {
    if (flags.dtype.empty() || flags.dtype == name) {
      json["gemm_peak_flops"][name] = ops::measure_gemm_peak(dtype_of(name), device);
    }
  }
  if (flags.json) {
    fmt::print("{}\n", json.dump());
    return;
  }
  for (const auto& [name, rate] : json["gemm_peak_flops"].items()) {
    fmt::print("{} GEMM peak  {:.0f} GFLOP/s  ({}, {} threads)\n", name, rate.get<double>() / kGiga,
               device.str(), at::get_num_threads());
  }
}

/// Every timed step.
struct Timings {
  std::vector<double> seconds;
  std::vector<double> processor_seconds;  // over all threads
};

Timings time_steps(BenchmarkSteps& ours, PytorchPeers* peers, int64_t num_steps) {
  Timings timings;
  for (int64_t i = 0; i < kWarmupSteps; ++i) {
    (void)ours.run();
  }
  if (peers != nullptr) {
    peers->warm_up(kWarmupSteps);
  }
  const int64_t turns = peers == nullptr ? 1 : std::min(kAlternations, num_steps);
  for (int64_t turn = 0; turn < turns; ++turn) {
    const int64_t count = num_steps * (turn + 1) / turns - num_steps * turn / turns;
    for (int64_t i = 0; i < count; ++i) {
      const auto before = std::clock();
      timings.seconds.push_back(ours.run());
      timings.processor_seconds.push_back(static_cast<double>(std::clock() - before) /
                                          CLOCKS_PER_SEC);
    }
    if (peers != nullptr) {
      peers->run(count);
    }
  }
  return timings;
}

/// Shares of the time of one more step by operator; watching slows it, so it is not timed.
nlohmann::ordered_json measure_ops(BenchmarkSteps& steps) {
  OpTimes times;
  (void)steps.run();
  const auto ops = times.finish();
  double total = 0.0;
  for (const auto& op : ops) {
    total += op.seconds;
  }
  auto json = nlohmann::ordered_json::array();
  for (size_t i = 0; i < std::min(ops.size(), kOpsShown); ++i) {
    json.push_back(
        {{"op", ops[i].name}, {"share", ops[i].seconds / total}, {"calls", ops[i].calls}});
  }
  return json;
}

RunConfig bench_config(const BenchFlags& flags) {
  auto config = load_run_config(flags.config, flags.overrides);
  if (!flags.dtype.empty()) {
    config.training.precision = flags.dtype;
  }
  config.validate();
  return config;
}

std::unique_ptr<PytorchPeers> start_peers(const BenchFlags& flags, const RunConfig& config,
                                          at::Device device) {
  if (flags.against.empty()) {
    return nullptr;
  }
  const auto folder =
      flags.reference.empty() ? find_reference_folder() : std::filesystem::path(flags.reference);
  return std::make_unique<PytorchPeers>(
      config, PytorchOptions{.python = flags.python.empty() ? find_python(folder) : flags.python,
                             .reference = folder,
                             .device = device.is_cuda() ? "cuda" : "cpu",
                             .threads = at::get_num_threads()});
}

nlohmann::ordered_json measure_training(const BenchFlags& flags) {
  const auto config = bench_config(flags);
  const auto device = choose_device(flags.device, "--device");
  const double peak = ops::measure_gemm_peak(dtype_of(config.training.precision), device);
  const auto peers = start_peers(flags, config, device);
  BenchmarkSteps ours(config, device);
  const auto timings = time_steps(ours, peers.get(), flags.steps);

  const auto tokens = static_cast<double>(ours.tokens_per_step());
  const double rate = tokens / median(timings.seconds);
  const double flops = model_cost(config.model, config.training.sequence_length).training_flops;
  nlohmann::ordered_json json = {{"config", flags.config},
                                 {"dtype", config.training.precision},
                                 {"device", device.str()},
                                 {"threads", at::get_num_threads()},
                                 {"steps", timings.seconds.size()},
                                 {"tokens_per_second", rate},
                                 {"processor_seconds", median(timings.processor_seconds)},
                                 {"flops_per_token", flops},
                                 {"gemm_peak_flops", peak},
                                 {"utilization", rate * flops / peak},
                                 {"peak_memory_bytes", peak_memory_bytes(device)}};
  json["ops"] = measure_ops(ours);
  if (peers != nullptr) {
    peers->report({.tokens_per_step = tokens,
                   .seconds = median(timings.seconds),
                   .processor_seconds = device.is_cpu() ? median(timings.processor_seconds) : 0.0,
                   .peak_memory_bytes = peak_memory_bytes(device),
                   .flops_per_token = flops,
                   .gemm_peak_flops = peak},
                  json);
  }
  return json;
}

void print_training(const nlohmann::ordered_json& json) {
  const auto number = [&](const char* key) { return json.at(key).get<double>(); };
  fmt::print("{} in {} on {}, {} threads, median of {} steps\n",
             json.at("config").get<std::string>(), json.at("dtype").get<std::string>(),
             json.at("device").get<std::string>(), json.at("threads").get<int>(),
             json.at("steps").get<int>());
  fmt::print("  tokens/s       {:>12.0f}\n", number("tokens_per_second"));
  fmt::print("  MFLOP a token  {:>12.1f}\n", number("flops_per_token") / 1e6);
  fmt::print("  GEMM peak      {:>12.0f} GFLOP/s\n", number("gemm_peak_flops") / kGiga);
  fmt::print("  utilization    {:>12.3f}\n", number("utilization"));
  fmt::print("  peak memory    {:>12.2f} GB\n", number("peak_memory_bytes") / kGiga);
  if (json.contains("peers")) {
    print_peers(json);
  }
}

void print_ops(const nlohmann::ordered_json& ops) {
  fmt::print("share of a step by operator, the largest\n");
  for (const auto& op : ops) {
    fmt::print("  {:>5.1f} %  {:<40} {:>6} calls\n", 100 * op.at("share").get<double>(),
               op.at("op").get<std::string>(), op.at("calls").get<int64_t>());
  }
}

void run_train_bench(const BenchFlags& flags) {
  const auto json = measure_training(flags);
  if (flags.json) {
    fmt::print("{}\n", json.dump());
  } else {
    print_training(json);
    print_ops(json.at("ops"));
  }
}

void run_ops(const BenchFlags& flags) {
  const auto device = choose_device(flags.device, "--device");
  const auto json = bench_ops(bench_config(flags), device, /*print=*/!flags.json);
  if (flags.json) {
    fmt::print("{}\n", json.dump());
  }
}

void add_common_flags(CLI::App& command, BenchFlags& flags) {
  TrainingConfig training;
  command.add_option("--dtype", flags.dtype, "Number type of the computation (the config's)")
      ->check(allowed_values(field_named(training.fields(), "precision")));
  command
      .add_option("--device", flags.device,
                  "Where to compute; auto: on a GPU if there is one; cuda:K: on GPU K")
      ->check(allowed_values(field_named(training.fields(), "device")));
  command.add_flag("--json", flags.json, "The figures as one line of JSON on stdout");
}

}  // namespace

void add_bench(CLI::App& app) {
  auto* bench = app.add_subcommand(
      "bench", "Speed on this machine: gemm, ops, train, decode, exit, growth, ranks, serve");
  bench->require_subcommand(1);

  const auto flags = std::make_shared<BenchFlags>();
  auto* gemm = bench->add_subcommand("gemm", "The peak of matrix products");
  add_common_flags(*gemm, *flags);
  gemm->callback([flags] { run_gemm(*flags); });

  auto* ops = bench->add_subcommand("ops", "Every fused op against its reference");
  ops->add_option("--config", flags->config, "A run's TOML: the sizes of the ops")->required();
  ops->add_option("--set", flags->overrides, "section.key=value, may be given several times");
  add_common_flags(*ops, *flags);
  ops->callback([flags] { run_ops(*flags); });

  auto* train = bench->add_subcommand("train", "Full training steps on random tokens");
  train->add_option("--config", flags->config, "A run's TOML; its data files are not opened")
      ->required();
  train->add_option("--set", flags->overrides, "section.key=value, may be given several times");
  add_setting_flag(
      *train,
      Field("steps", &flags->steps, "timed steps; the figures are their median").minimum(1));
  train->add_option("--against", flags->against, "Also the same model in PyTorch, in turns")
      ->check(CLI::IsMember({"pytorch"}));
  train->add_flag_callback(
      "--compare-pytorch", [flags] { flags->against = "pytorch"; },
      "The same as --against pytorch");
  train->add_option(
      "--python", flags->python,
      "Interpreter with torch, for --against (build/wheel-venv's, else the system's)");
  train->add_option("--reference", flags->reference, "Folder of the PyTorch version's bench.py");
  add_common_flags(*train, *flags);
  train->callback([flags] { run_train_bench(*flags); });

  add_bench_decode(*bench);
  add_bench_exit(*bench);
  add_bench_growth(*bench);
  add_bench_ranks(*bench);
  add_bench_serve(*bench);
}

}  // namespace loopbank::cli
