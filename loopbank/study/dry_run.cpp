#include "loopbank/study/dry_run.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "loopbank/study/plan.h"
#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

constexpr double kSecondsPerHour = 3600.0;

double gpu_hours(const RunPlan& plan) {
  return plan.training_flops / kSustainedGpuFlops / kSecondsPerHour;
}

}  // namespace

nlohmann::ordered_json plan_to_json(const std::vector<System>& systems) {
  auto rows = nlohmann::ordered_json::array();
  double hours = 0.0;
  double flops = 0.0;
  for (const auto& system : systems) {
    const auto plan = make_plan(system.run);
    hours += gpu_hours(plan);
    flops += plan.training_flops;
    nlohmann::ordered_json row = {{"name", system.name},
                                  {"label", system.label},
                                  {"parameters", plan.cost.parameters.total()},
                                  {"flops_per_token", plan.cost.forward_flops.total()},
                                  {"training_flops_per_token", plan.cost.training_flops},
                                  {"steps", plan.steps},
                                  {"tokens", plan.tokens},
                                  {"training_flops", plan.training_flops},
                                  {"memory_bytes", plan.memory.total()},
                                  {"gpu_hours", gpu_hours(plan)}};
    if (!system.paper.empty()) {
      row["paper"] = system.paper;
    }
    if (system.match) {
      row["residuals"] = residuals_to_json(system.match->baseline);
    }
    rows.push_back(row);
  }
  return {{"planned_only", true},
          {"gpu_flops_per_second", kSustainedGpuFlops},
          {"training_flops", flops},
          {"gpu_hours", hours},
          {"systems", rows}};
}

std::string format_plan(const std::vector<System>& systems) {
  auto text =
      fmt::format("{:<12} {:>6} {:>6} {:>10} {:>11} {:>12} {:>10} {:>9}\n", "system", "layers", "F",
                  "parameters", "FLOPs/token", "train FLOPs", "GPU hours", "memory");
  double hours = 0.0;
  for (const auto& system : systems) {
    const auto plan = make_plan(system.run);
    hours += gpu_hours(plan);
    text += fmt::format(
        "{:<12} {:>6} {:>6} {:>10} {:>11} {:>12.2e} {:>10.1f} {:>9}\n", system.label,
        system.run.model.num_hidden_layers, system.run.model.intermediate_size,
        format_count(plan.cost.parameters.total()), format_count(plan.cost.forward_flops.total()),
        plan.training_flops, gpu_hours(plan), format_bytes(plan.memory.total()));
  }
  text += fmt::format(
      "Together {:.1f} GPU hours at {:.2e} FLOP/s (40 % of an H100); {} tokens a system.\n", hours,
      kSustainedGpuFlops,
      systems.empty() ? "0" : format_count(make_plan(systems.front().run).tokens));
  return text;
}

}  // namespace loopbank
