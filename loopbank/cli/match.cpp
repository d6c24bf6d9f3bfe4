/// loopbank match CONFIG --by parameters|flops: the matched dense baseline, as a config.

#include "loopbank/study/match.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "loopbank/cli/command.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/study/plan.h"

namespace loopbank::cli {
namespace {

struct MatchFlags {
  std::string config;
  std::vector<std::string> overrides;
  std::string by;
  MatchOptions defaults;
  int64_t step = defaults.step;
  bool json = false;
};

/// The baseline with the run's other sections, or [model] alone where CONFIG holds nothing else.
std::string baseline_toml(RunConfig run, const ModelConfig& model) {
  run.model = model;
  return describes_a_run(run) ? to_toml(run) : write_toml(run.model.written_sections());
}

void print_figure(const char* name, const MatchedFigure& figure) {
  fmt::print("# {:<22} {:>16.0f} against {:>16.0f} ({:+.3f} %)\n", name, figure.matched,
             figure.target, 100 * figure.residual());
}

void run_match(const MatchFlags& flags) {
  const auto run = load_plan_config(flags.config, flags.overrides);
  const bool by_flops = flags.by == "flops";
  const MatchOptions options{.by = by_flops ? MatchBy::kFlops : MatchBy::kParameters,
                             .sequence_length = make_plan(run).sequence_length,
                             .step = flags.step};
  const auto baseline = match_baseline(run.model, options);
  if (flags.json) {
    auto json = nlohmann::ordered_json::object();
    json["by"] = flags.by;
    json["sequence_length"] = options.sequence_length;
    json["step"] = options.step;
    json["model"] = to_json(baseline.model);
    json.update(residuals_to_json(baseline));
    fmt::print("{}\n", json.dump(2));
    return;
  }
  fmt::print("# The dense baseline of {} by {}: F {}, {} layers.\n", flags.config,
             by_flops ? "FLOPs a token" : "parameters", baseline.model.intermediate_size,
             baseline.model.num_hidden_layers);
  print_figure("parameters", baseline.parameters);
  print_figure("forward FLOPs a token", baseline.forward_flops);
  fmt::print("\n{}", baseline_toml(run, baseline.model));
}

}  // namespace

void add_match(CLI::App& app) {
  auto* command =
      app.add_subcommand("match", "The dense baseline that matches an adaptive model, as a config");
  const auto flags = std::make_shared<MatchFlags>();
  command->add_option("CONFIG", flags->config, "A run's TOML, a config.json or a model's folder")
      ->required();
  add_setting_flag(*command, Field("by", &flags->by,
                                   "what both have in common: parameters (widens F) or flops "
                                   "(deepens L, on top of the width that memory buys)")
                                 .choices({"parameters", "flops"}))
      ->required();
  add_setting_flag(*command, Field("step", &flags->step, "F is a multiple of this").minimum(1))
      ->capture_default_str();
  command->add_option("--set", flags->overrides, "section.key=value, may be given several times");
  command->add_flag("--json", flags->json, "The baseline and its residuals as JSON on stdout");
  command->callback([flags] { run_match(*flags); });
}

}  // namespace loopbank::cli
