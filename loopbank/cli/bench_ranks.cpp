#include "loopbank/cli/bench_ranks.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/cli/own_program.h"
#include "loopbank/cli/rank_session.h"
#include "loopbank/cli/runtime.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/ranks/free_port.h"
#include "loopbank/ranks/place.h"
#include "loopbank/study/rank_plan.h"
#include "loopbank/study/systems.h"
#include "loopbank/support/error.h"
#include "loopbank/support/log.h"
#include "loopbank/train/batch_step.h"
#include "loopbank/train/benchmark_ranks.h"

namespace loopbank::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kSilenceSeconds = 120.0;  // after which a rank is given up
constexpr double kOptimizerBytes = 28.0;   // of a parameter, as rank_plan.h counts them
constexpr double kMillisPerSecond = 1e3;

struct RanksFlags {
  std::string config;
  std::vector<std::string> overrides;
  std::vector<int64_t> ranks = {1, 2, 4};
  int64_t steps = 10;
  bool is_rank = false;  // this process is one of those that are measured
  bool json = false;
};

/// The file's run, or Loop-3 of the small study: about 30 M parameters.
RunConfig config_of(const RanksFlags& flags) {
  if (!flags.config.empty()) {
    return load_run_config(flags.config, flags.overrides);
  }
  auto overrides = flags.overrides;
  overrides.insert(overrides.begin(), "training.batch=4");
  return choose_systems(study_systems(study_preset(Scale::kSmall, overrides)), {"loop3"})
      .front()
      .run;
}

/// What one of the processes does: the first prints what all measured.
void run_as_rank(const RanksFlags& flags) {
  const auto config = config_of(flags);
  with_ranks(at::kCPU, kSilenceSeconds, [&](const Ranks& ranks) {
    const auto times = measure_rank_steps(config, at::kCPU, ranks, flags.steps);
    if (ranks.is_first()) {
      fmt::print("{}\n", Json{{"step_seconds", times.step_seconds},
                              {"exchanging_seconds", times.exchanging_seconds},
                              {"waited_seconds", times.waited_seconds},
                              {"pass_seconds", times.pass_seconds},
                              {"optimizer_seconds", times.optimizer_seconds},
                              {"exchange_bytes", times.exchange_bytes},
                              {"exchange_seconds", times.exchange_seconds}}
                             .dump());
    }
  });
}

/// Starts the ranks and gives what the first of them printed.
Json measure_ranks(const RanksFlags& flags, int64_t count, int64_t threads) {
  std::vector<std::string> words = {"bench", "ranks", "--as-rank", "--steps",
                                    std::to_string(flags.steps)};
  if (!flags.config.empty()) {
    words.insert(words.end(), {"--config", flags.config});
  }
  for (const auto& setting : flags.overrides) {
    words.insert(words.end(), {"--set", setting});
  }
  words.insert(words.end(), {"--threads", std::to_string(threads)});
  const auto port = std::to_string(free_port());
  std::vector<OwnProgram> processes;
  for (int64_t rank = 0; rank < count; ++rank) {
    const auto number = std::to_string(rank);
    processes.emplace_back(
        words, std::map<std::string, std::string>{{"RANK", number},
                                                  {"LOCAL_RANK", number},
                                                  {"WORLD_SIZE", std::to_string(count)},
                                                  {"MASTER_ADDR", "127.0.0.1"},
                                                  {"MASTER_PORT", port},
                                                  {"TORCHELASTIC_USE_AGENT_STORE", "False"}});
  }
  std::string first;
  for (auto& process : processes) {
    auto text = process.output();
    first = first.empty() ? std::move(text) : first;
  }
  return Json::parse(first);
}

/// What plan says of these ranks, from what they compute and exchange when they do either alone.
RankPlan predict(const RunConfig& run, int64_t ranks, const Json& measured, bool cores_are_shared) {
  const auto number = [&](const char* key) { return measured.at(key).get<double>(); };
  auto config = run;
  config.training.device = "cpu";
  const auto& training = config.training;
  const auto passes = passes_of(training, /*rank=*/0, ranks);
  const auto cost = model_cost(config.model, training.sequence_length);
  RankPlanOptions options;
  options.device.flops =
      static_cast<double>(passes.count * passes.rows * training.sequence_length) *
      flops_of_pass(config) / number("pass_seconds");
  options.device.memory_bandwidth =
      kOptimizerBytes * cost.parameters.total() / number("optimizer_seconds");
  const auto n = static_cast<double>(ranks);
  const double bytes_sent = 2 * number("exchange_bytes") * (n - 1) / n;  // to sum and to gather
  options.network = {.bandwidth = ranks > 1 ? bytes_sent / number("exchange_seconds") : 0.0,
                     .order = SumOrder::kAllToAll,
                     .free_share = cores_are_shared ? 0.0 : 1.0};
  return plan_ranks(config, ranks, options);
}

Json result_of(const RunConfig& config, int64_t ranks, int64_t threads, const Json& measured) {
  const auto number = [&](const char* key) { return measured.at(key).get<double>(); };
  const auto tokens = static_cast<double>(config.training.batch * config.training.sequence_length);
  const double exchanging = number("exchanging_seconds");
  const auto plan = predict(config, ranks, measured, ranks * threads >= available_cores());
  const double rate = tokens / number("step_seconds");
  return {{"ranks", ranks},
          {"threads", threads},
          {"tokens_per_second", rate},
          {"communication_share", number("waited_seconds") / number("step_seconds")},
          {"overlap", exchanging > 0 ? 1.0 - number("waited_seconds") / exchanging : 1.0},
          {"step_seconds", number("step_seconds")},
          {"measured_alone",
           {{"pass_seconds", number("pass_seconds")},
            {"optimizer_seconds", number("optimizer_seconds")},
            {"exchange_seconds", number("exchange_seconds")},
            {"exchange_bytes", number("exchange_bytes")}}},
          {"predicted",
           {{"step_seconds", plan.step_seconds},
            {"tokens_per_second", plan.tokens_per_second},
            {"communication_share", plan.communication_share}}},
          {"predicted_over_measured", plan.tokens_per_second / rate}};
}

void print_result(const Json& result) {
  const auto number = [&](const char* key) { return result.at(key).get<double>(); };
  fmt::print("{:>6} {:>8} {:>10.1f} {:>10.0f} {:>9.1f} % {:>9.2f} {:>12.1f} {:>10.0f} {:>9.2f}\n",
             result.at("ranks").get<int64_t>(), result.at("threads").get<int64_t>(),
             kMillisPerSecond * number("step_seconds"), number("tokens_per_second"),
             100 * number("communication_share"), number("overlap"),
             kMillisPerSecond * result.at("predicted").at("step_seconds").get<double>(),
             result.at("predicted").at("tokens_per_second").get<double>(),
             number("predicted_over_measured"));
}

void run_bench_ranks(const RanksFlags& flags) {
  if (flags.is_rank) {
    run_as_rank(flags);
    return;
  }
  const auto config = config_of(flags);
  if (!flags.json) {
    fmt::print("{:>6} {:>8} {:>10} {:>10} {:>11} {:>9} {:>12} {:>10} {:>9}\n", "ranks", "threads",
               "step ms", "tokens/s", "waited", "overlap", "predicted ms", "tokens/s", "ratio");
  }
  auto results = Json::array();
  for (const auto ranks : flags.ranks) {
    const int64_t threads = std::max<int64_t>(1, at::get_num_threads() / ranks);
    results.push_back(result_of(config, ranks, threads, measure_ranks(flags, ranks, threads)));
    if (!flags.json) {
      print_result(results.back());
    }
  }
  if (flags.json) {
    fmt::print("{}\n", Json{{"config", flags.config.empty() ? "small/loop3" : flags.config},
                            {"cores", available_cores()},
                            {"results", results}}
                           .dump());
  }
}

}  // namespace

void add_bench_ranks(CLI::App& bench) {
  const auto flags = std::make_shared<RanksFlags>();
  auto* command = bench.add_subcommand(
      "ranks", "Training over several ranks of this machine, beside what plan predicts");
  command->add_option("--config", flags->config,
                      "A run's TOML; its data files are not opened (Loop-3 of the small study)");
  command->add_option("--set", flags->overrides, "section.key=value, may be given several times")
      ->allow_extra_args(false);
  comma_separated(
      command->add_option("--ranks", flags->ranks, "Numbers of ranks, with commas between (1,2,4)"))
      ->check(whole_numbers_from(1));
  add_setting_flag(
      *command,
      Field("steps", &flags->steps, "timed steps; the figures are their medians").minimum(1))
      ->capture_default_str();
  command->add_flag("--as-rank", flags->is_rank)->group("");  // how it starts the ranks itself
  command->add_flag("--json", flags->json, "The figures as one line of JSON on stdout");
  command->callback([flags] { run_bench_ranks(*flags); });
}

}  // namespace loopbank::cli
