/// loopbank settings: every key of a run config and of a study file: what it expects, its default
/// and its meaning.

#include <fmt/format.h>

#include "loopbank/cli/command.h"
#include "loopbank/study/study_config.h"
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
  StudyConfig study;
  SystemSettings system;
  fmt::print(
      "# Settings of a study\n\n"
      "A study file (`loopbank study FILE`) holds the sections above, which all its systems share, "
      "and\n"
      "these.\n\n{}",
      describe_settings({{"study", study.study.fields()},
                         {"benchmark", study.benchmark.fields()},
                         {"synthetic", study.synthetic.fields()},
                         {"text", study.text.fields()},
                         {"system.NAME", system.fields()}}));
}

}  // namespace

void add_settings(CLI::App& app) {
  app.add_subcommand("settings",
                     "Every key of a run config and of a study: values, default, meaning")
      ->callback(run_settings);
}

}  // namespace loopbank::cli
