#include "loopbank/cli/bench_growth.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/cli/own_program.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/study/plan.h"
#include "loopbank/support/log.h"
#include "loopbank/support/statistics.h"
#include "loopbank/train/run_config.h"

namespace loopbank::cli {
namespace {

constexpr double kPerBillion = 1e-9;
constexpr double kMillis = 1e3;

struct GrowthFlags {
  std::string config;
  std::vector<std::string> overrides;
  std::vector<std::string> by = {"tokens", "loops", "layers", "length"};
  int64_t steps = 5;
  int64_t longest = 16384;
  bool json = false;
};

/// What grows, and the settings that a value of it stands for.
struct Axis {
  std::string name;
  std::vector<int64_t> values;
  std::vector<std::string> settings;  // "{}" is the value
};

Axis axis_of(const std::string& name, const RunConfig& config, int64_t longest) {
  if (name == "tokens") {
    return {name, {1, 2, 4, 8}, {"training.batch={}", "training.micro_batch=0"}};
  }
  if (name == "loops") {
    return {name, {1, 2, 3, 5, 7}, {"model.max_loops={}"}};
  }
  if (name == "layers") {
    return {name, {2, 4, 8, 12}, {"model.num_hidden_layers={}"}};
  }
  Axis axis{name,
            {},
            {"training.sequence_length={}", "model.max_position_embeddings={}", "training.batch=1",
             "training.micro_batch=0"}};
  for (int64_t length = std::min<int64_t>(512, config.training.sequence_length); length <= longest;
       length *= 2) {
    axis.values.push_back(length);
  }
  return axis;
}

/// The largest share by which a value is off the straight line through all of them that minimises the
/// squared relative errors.
double off_the_line(const std::vector<double>& x, const std::vector<double>& y) {
  std::vector<double> weights;
  for (const double value : y) {
    weights.push_back(1.0 / (value * value));
  }
  const auto [start, slope] = fit_line(x, y, weights);
  double worst = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    worst = std::max(worst, std::abs(start + slope * x[i] - y[i]) / y[i]);
  }
  return worst;
}

/// One point, measured by `bench train` in a process of its own: memory peaks only once in a process.
nlohmann::ordered_json measure_point(const GrowthFlags& flags, const Axis& axis, int64_t value) {
  auto settings = flags.overrides;
  for (const auto& setting : axis.settings) {
    settings.push_back(fmt::format(fmt::runtime(setting), value));
  }
  std::vector<std::string> words = {
      "bench", "train", "--config", flags.config, "--steps", std::to_string(flags.steps), "--json"};
  for (const auto& setting : settings) {
    words.insert(words.end(), {"--set", setting});
  }
  const auto measured = nlohmann::json::parse(OwnProgram(words).output());
  const auto config = load_run_config(flags.config, settings);
  const auto tokens = static_cast<double>(config.training.batch * config.training.sequence_length);
  const auto plan = make_plan(config);
  return {{axis.name, axis.name == "tokens" ? static_cast<int64_t>(tokens) : value},
          {"step_seconds", tokens / measured.at("tokens_per_second").get<double>()},
          {"flops_per_step", tokens * plan.cost.training_flops},
          {"utilization", measured.at("utilization")},
          {"peak_memory_bytes", measured.at("peak_memory_bytes")},
          {"planned_memory_bytes", plan.memory.total()}};
}

void print_point(const std::string& axis, const nlohmann::ordered_json& point) {
  const auto number = [&](const char* key) { return point.at(key).get<double>(); };
  fmt::print("{:>8} {:>9} {:>11.1f} {:>11.1f} {:>11.3f} {:>11.2f} {:>11.2f}\n", axis,
             point.at(axis).get<int64_t>(), kMillis * number("step_seconds"),
             kPerBillion * number("flops_per_step"), number("utilization"),
             kPerBillion * number("peak_memory_bytes"),
             kPerBillion * number("planned_memory_bytes"));
}

nlohmann::ordered_json measure_axis(const GrowthFlags& flags, const Axis& axis) {
  auto points = nlohmann::ordered_json::array();
  std::vector<double> x, seconds, bytes;
  for (const auto value : axis.values) {
    points.push_back(measure_point(flags, axis, value));
    const auto& point = points.back();
    if (!flags.json) {
      print_point(axis.name, point);
    }
    x.push_back(point.at(axis.name).get<double>());
    seconds.push_back(point.at("step_seconds").get<double>());
    bytes.push_back(point.at("peak_memory_bytes").get<double>());
  }
  const bool has_line = x.size() > 2;
  const double off_seconds = has_line ? off_the_line(x, seconds) : 0.0;
  const double off_bytes = has_line ? off_the_line(x, bytes) : 0.0;
  if (!flags.json) {
    fmt::print("{:>8} off a straight line by at most {:.0f} % in time, {:.0f} % in memory\n",
               axis.name, 100 * off_seconds, 100 * off_bytes);
  }
  return {{"by", axis.name},
          {"points", points},
          {"time_off_line", off_seconds},
          {"memory_off_line", off_bytes}};
}

void run_growth(const GrowthFlags& flags) {
  const auto config = load_run_config(flags.config, flags.overrides);
  if (!flags.json) {
    fmt::print("{:>8} {:>9} {:>11} {:>11} {:>11} {:>11} {:>11}\n", "", "", "step ms", "GFLOP",
               "utilization", "memory GB", "planned GB");
  }
  auto results = nlohmann::ordered_json::array();
  for (const auto& name : flags.by) {
    results.push_back(measure_axis(flags, axis_of(name, config, flags.longest)));
  }
  if (flags.json) {
    fmt::print("{}\n",
               nlohmann::ordered_json{{"config", flags.config}, {"results", results}}.dump());
  }
}

}  // namespace

void add_bench_growth(CLI::App& bench) {
  const auto flags = std::make_shared<GrowthFlags>();
  auto* command = bench.add_subcommand(
      "growth", "How time and memory of a training step grow with tokens, loops, layers and T");
  command->add_option("--config", flags->config, "A run's TOML with loops; its data is not opened")
      ->required();
  command->add_option("--set", flags->overrides, "section.key=value, may be given several times")
      ->allow_extra_args(false);
  comma_separated(
      add_setting_flag(*command, Field("by", &flags->by, "what grows, with commas between")
                                     .choices({"tokens", "loops", "layers", "length"})));
  add_setting_flag(*command, Field("steps", &flags->steps,
                                   "timed steps of each point; the figures are their median")
                                 .minimum(1))
      ->capture_default_str();
  add_setting_flag(*command, Field("longest", &flags->longest,
                                   "tokens of the longest sequence, when the length grows")
                                 .minimum(2))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "The figures as one line of JSON on stdout");
  command->callback([flags] { run_growth(*flags); });
}

}  // namespace loopbank::cli
