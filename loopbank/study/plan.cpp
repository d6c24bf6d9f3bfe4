#include "loopbank/study/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "loopbank/infer/key_value_policy.h"
#include "loopbank/support/error.h"
#include "loopbank/support/progress.h"
#include "loopbank/train/memory_fit.h"
#include "loopbank/train/run_init.h"

namespace loopbank {
namespace {

std::string line(std::string_view name, const std::string& value) {
  return fmt::format("{:<28}{:>12}\n", name, value);
}

/// The sum first, then each part that is not zero.
template <typename Format>
std::string describe_parts(std::string_view name, const CostByPart& cost, const Format& format) {
  auto text = line(name, format(cost.total()));
  for (const auto& [part, value] : cost.parts) {
    if (value > 0) {
      text += line("  " + part, format(value));
    }
  }
  return text;
}

}  // namespace

RunConfig load_plan_config(const std::filesystem::path& path,
                           const std::vector<std::string>& overrides) {
  RunConfig config;
  const auto sections = config.sections();
  SettingPlaces places;
  const bool folder = std::filesystem::is_directory(path);
  if (folder || path.extension() == ".json") {
    if (!overrides.empty()) {
      fail(ErrorCode::kConfig,
           "{}: expected a TOML file to override, got a model with --set {}. Change a copy of its "
           "config.json instead.",
           path.string(), overrides.front());
    }
    config.model = load_config(folder ? path / "config.json" : path);
  } else {
    places = read_with_init(
        config, [&] { return read_toml(path, overrides, sections); }, path.string());
  }
  check_together(places, sections, path.string(), [&] {
    if (describes_a_run(config)) {
      config.validate();
    } else {
      config.model.validate();
    }
  });
  return config;
}

bool describes_a_run(const RunConfig& config) {
  return config.training.steps > 0;
}

RunPlan make_plan(const RunConfig& config) {
  const auto& training = config.training;
  RunPlan plan;
  plan.sequence_length = training.sequence_length > 0 ? training.sequence_length
                                                      : config.model.max_position_embeddings;
  plan.cost = model_cost(config.model, plan.sequence_length);
  plan.memory = run_memory(config);
  plan.kv_dtype = training.precision;
  for (const auto* policy : key_value_policies()) {
    const auto bytes = key_value_bytes(config.model, *policy, plan.kv_dtype == "bf16" ? 2 : 4);
    plan.kv_bytes.parts.emplace_back(policy->name(), static_cast<double>(bytes));
  }
  plan.steps = training.steps;
  plan.tokens = static_cast<double>(training.steps) * static_cast<double>(training.batch) *
                static_cast<double>(plan.sequence_length);
  plan.training_flops = plan.tokens * plan.cost.training_flops;
  return plan;
}

nlohmann::ordered_json to_json(const RunPlan& plan) {
  auto policies = nlohmann::ordered_json::object();
  for (const auto& [policy, bytes] : plan.kv_bytes.parts) {
    policies[policy] = bytes;
  }
  return {{"parameters", to_json(plan.cost.parameters)},
          {"flops_per_token",
           {{"forward", plan.cost.forward_flops.total()},
            {"training", plan.cost.training_flops},
            {"by_part", to_json(plan.cost.forward_flops)}}},
          {"memory_bytes", to_json(plan.memory)},
          {"kv_bytes_per_token", policies},
          {"sequence_length", plan.sequence_length},
          {"steps", plan.steps},
          {"tokens", plan.tokens},
          {"training_flops", plan.training_flops}};
}

std::string describe(const RunPlan& plan, double flops_per_second) {
  auto text = describe_parts("parameters", plan.cost.parameters, format_count);
  text += '\n';
  text += describe_parts("forward FLOPs a token", plan.cost.forward_flops, format_count);
  text += line("training FLOPs a token", format_count(plan.cost.training_flops));
  text += line("  at T", fmt::format("{}", plan.sequence_length));
  text += '\n';
  text += describe_parts("memory at the peak", plan.memory, format_bytes);
  text += fmt::format("\nkeys and values a token, {}\n", plan.kv_dtype);
  for (const auto& [policy, bytes] : plan.kv_bytes.parts) {
    text += line("  --kv " + policy, format_bytes(bytes));
  }
  if (plan.steps > 0) {
    text += '\n';
    text += line("steps", fmt::format("{}", plan.steps));
    text += line("tokens", format_count(plan.tokens));
    text += line("training FLOPs", fmt::format("{:.2e}", plan.training_flops));
    if (flops_per_second > 0) {
      text += line("time", format_duration(plan.training_flops / flops_per_second));
      text += line("  at FLOP/s", fmt::format("{:.2e}", flops_per_second));
    }
  }
  return text;
}

}  // namespace loopbank
