/// loopbank plan CONFIG: what a run costs before it starts.

#include "loopbank/study/plan.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "loopbank/cli/command.h"
#include "loopbank/cli/plan_ranks.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/support/progress.h"

namespace loopbank::cli {
namespace {

struct PlanFlags {
  std::string config;
  std::vector<std::string> overrides;
  double flops_per_second = 0.0;
  PlanRanksFlags ranks;
  bool json = false;
};

void print_fit(const nlohmann::ordered_json& fit) {
  fmt::print("\nfits with training.recompute = \"{}\", training.micro_batch = {}: {}\n",
             fit.at("recompute").get<std::string>(), fit.at("micro_batch").get<int64_t>(),
             format_bytes(fit.at("memory_bytes").get<double>()));
}

void run_plan(const PlanFlags& flags) {
  auto config = load_plan_config(flags.config, flags.overrides);
  const auto fit = fit_device(config, flags.ranks);
  const auto plan = make_plan(config);
  if (!flags.json) {
    fmt::print("{}\n\n{}", flags.config, describe(plan, flags.flops_per_second));
    if (!fit.is_null()) {
      print_fit(fit);
    }
    (void)predict_ranks(config, flags.ranks, /*json=*/false);
    return;
  }
  auto json = to_json(plan);
  if (flags.flops_per_second > 0) {
    json["seconds"] = plan.training_flops / flags.flops_per_second;
  }
  if (!fit.is_null()) {
    json["device"] = fit;
  }
  if (auto ranks = predict_ranks(config, flags.ranks, /*json=*/true); !ranks.is_null()) {
    json["ranks"] = std::move(ranks);
  }
  fmt::print("{}\n", json.dump(2));
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
  add_plan_ranks_flags(*command, flags->ranks);
  command->add_flag("--json", flags->json, "The plan as JSON on stdout");
  command->callback([flags] { run_plan(*flags); });
}

}  // namespace loopbank::cli
