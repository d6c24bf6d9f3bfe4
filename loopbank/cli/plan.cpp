/// loopbank plan CONFIG: what a run costs before it starts.

#include "loopbank/study/plan.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "loopbank/cli/command.h"
#include "loopbank/cli/setting_flags.h"

namespace loopbank::cli {
namespace {

struct PlanFlags {
  std::string config;
  std::vector<std::string> overrides;
  double flops_per_second = 0.0;
  bool json = false;
};

void run_plan(const PlanFlags& flags) {
  const auto plan = make_plan(load_plan_config(flags.config, flags.overrides));
  if (flags.json) {
    auto json = to_json(plan);
    if (flags.flops_per_second > 0) {
      json["seconds"] = plan.training_flops / flags.flops_per_second;
    }
    fmt::print("{}\n", json.dump(2));
  } else {
    fmt::print("{}\n\n{}", flags.config, describe(plan, flags.flops_per_second));
  }
}

}  // namespace

void add_plan(CLI::App& app) {
  auto* command = app.add_subcommand(
      "plan", "Parameters by part, FLOPs per token, memory, steps and time of a config");
  const auto flags = std::make_shared<PlanFlags>();
  command->add_option("CONFIG", flags->config, "A run's TOML, a config.json or a model's folder")
      ->required();
  command->add_option("--set", flags->overrides, "section.key=value, may be given several times");
  add_setting_flag(*command, Field("flops_per_second", &flags->flops_per_second,
                                   "FLOPs that the machine sustains in training, for the time "
                                   "(4e14: an H100)")
                                 .positive());
  command->add_flag("--json", flags->json, "The plan as JSON on stdout");
  command->callback([flags] { run_plan(*flags); });
}

}  // namespace loopbank::cli
