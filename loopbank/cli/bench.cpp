/// loopbank bench: the speed of matrix products, ops, training steps and decoding on this machine.

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/cli/bench_decode.h"
#include "loopbank/cli/bench_exit.h"
#include "loopbank/cli/bench_growth.h"
#include "loopbank/cli/bench_ops.h"
#include "loopbank/cli/bench_pytorch.h"
#include "loopbank/cli/bench_ranks.h"
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
  bool compare_pytorch = false;
  std::string python = "/usr/bin/python3";
  std::string reference;
  bool compile = false;
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

/// Seconds of every timed step.
struct Timings {
  std::vector<double> ours;
  std::vector<double> pytorch;
};

Timings time_steps(BenchmarkSteps& ours, PytorchTwin* twin, int64_t num_steps) {
  Timings timings;
  for (int64_t i = 0; i < kWarmupSteps; ++i) {
    (void)ours.run();
  }
  if (twin != nullptr) {
    (void)twin->run(kWarmupSteps);
  }
  const int64_t turns = twin == nullptr ? 1 : std::min(kAlternations, num_steps);
  for (int64_t turn = 0; turn < turns; ++turn) {
    const int64_t count = num_steps * (turn + 1) / turns - num_steps * turn / turns;
    for (int64_t i = 0; i < count; ++i) {
      timings.ours.push_back(ours.run());
    }
    if (twin != nullptr) {
      const auto theirs = twin->run(count);
      timings.pytorch.insert(timings.pytorch.end(), theirs.begin(), theirs.end());
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

std::unique_ptr<PytorchTwin> start_twin(const BenchFlags& flags, const RunConfig& config,
                                        at::Device device) {
  if (!flags.compare_pytorch) {
    return nullptr;
  }
  const auto folder =
      flags.reference.empty() ? find_reference_folder() : std::filesystem::path(flags.reference);
  return std::make_unique<PytorchTwin>(config,
                                       PytorchOptions{.python = flags.python,
                                                      .reference = folder,
                                                      .device = device.is_cuda() ? "cuda" : "cpu",
                                                      .threads = at::get_num_threads(),
                                                      .compile = flags.compile});
}

nlohmann::ordered_json measure_training(const BenchFlags& flags) {
  const auto config = bench_config(flags);
  const auto device = choose_device(flags.device, "--device");
  const double peak = ops::measure_gemm_peak(dtype_of(config.training.precision), device);
  const auto twin = start_twin(flags, config, device);
  BenchmarkSteps ours(config, device);
  const auto timings = time_steps(ours, twin.get(), flags.steps);

  const auto tokens = static_cast<double>(ours.tokens_per_step());
  const double rate = tokens / median(timings.ours);
  const double flops = model_cost(config.model, config.training.sequence_length).training_flops;
  nlohmann::ordered_json json = {{"config", flags.config},
                                 {"dtype", config.training.precision},
                                 {"device", device.str()},
                                 {"threads", at::get_num_threads()},
                                 {"steps", timings.ours.size()},
                                 {"tokens_per_second", rate},
                                 {"flops_per_token", flops},
                                 {"gemm_peak_flops", peak},
                                 {"utilization", rate * flops / peak},
                                 {"peak_memory_bytes", peak_memory_bytes(device)}};
  json["ops"] = measure_ops(ours);
  if (twin != nullptr) {
    const double theirs = tokens / median(timings.pytorch);
    json["pytorch_tokens_per_second"] = theirs;
    json["pytorch_utilization"] = theirs * flops / peak;
    json["pytorch_peak_memory_bytes"] = twin->peak_memory_bytes();
    json["ratio_to_pytorch"] = rate / theirs;
    json["memory_ratio_to_pytorch"] = static_cast<double>(peak_memory_bytes(device)) /
                                      static_cast<double>(twin->peak_memory_bytes());
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
  if (json.contains("ratio_to_pytorch")) {
    fmt::print("PyTorch in turns with it\n");
    fmt::print("  tokens/s       {:>12.0f}\n", number("pytorch_tokens_per_second"));
    fmt::print("  utilization    {:>12.3f}\n", number("pytorch_utilization"));
    fmt::print("  peak memory    {:>12.2f} GB\n", number("pytorch_peak_memory_bytes") / kGiga);
    fmt::print("  ratio          {:>12.2f} in speed, {:.2f} in memory\n",
               number("ratio_to_pytorch"), number("memory_ratio_to_pytorch"));
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
      "bench", "Speed on this machine: gemm, ops, train, decode, exit, growth, ranks");
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
  train->add_flag("--compare-pytorch", flags->compare_pytorch,
                  "Also the plain PyTorch version in reference/, in turns");
  train->add_option("--python", flags->python, "Interpreter with torch, for --compare-pytorch");
  train->add_option("--reference", flags->reference, "Folder of the PyTorch version's bench.py");
  train->add_flag("--compile", flags->compile, "PyTorch's model through torch.compile");
  add_common_flags(*train, *flags);
  train->callback([flags] { run_train_bench(*flags); });

  add_bench_decode(*bench);
  add_bench_exit(*bench);
  add_bench_growth(*bench);
  add_bench_ranks(*bench);
}

}  // namespace loopbank::cli
