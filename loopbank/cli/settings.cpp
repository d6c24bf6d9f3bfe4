/// loopbank settings: every key of a run config, its default and its meaning.

#include <fmt/format.h>

#include "loopbank/cli/command.h"
#include "loopbank/train/run_config.h"

namespace loopbank::cli {
namespace {

void run_settings() {
  RunConfig defaults;
  fmt::print(
      "# Settings\n\n"
      "Every key of a run config, as `loopbank settings` prints it. `--set section.key=value`\n"
      "overrides one of them on the command line; `config.json` holds those of [model].\n\n{}",
      describe_settings(defaults.sections()));
}

}  // namespace

void add_settings(CLI::App& app) {
  app.add_subcommand("settings", "Every key of a run config, its default and its meaning")
      ->callback(run_settings);
}

}  // namespace loopbank::cli
