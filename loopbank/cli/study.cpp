/// loopbank study --out DIR: the ten systems of the paper's table on data that the program makes.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/cli/command.h"
#include "loopbank/cli/runtime.h"
#include "loopbank/cli/stop_signal.h"
#include "loopbank/study/dry_run.h"
#include "loopbank/study/runner.h"
#include "loopbank/support/error.h"
#include "loopbank/support/log.h"
#include "loopbank/support/progress.h"

namespace loopbank::cli {
namespace {

struct StudyFlags {
  std::string scale = "demo";
  std::string out;
  std::vector<std::string> systems;
  int64_t seed = 1;
  int64_t at_once = 0;
  std::vector<std::string> overrides;
  bool dry_run = false;
  bool json = false;
};

const std::map<std::string, Scale> kScales = {
    {"demo", Scale::kDemo}, {"small", Scale::kSmall}, {"paper", Scale::kPaper}};

/// The command line that makes, or goes on with, this study.
std::string command_of(const StudyFlags& flags) {
  auto text = fmt::format("loopbank study --scale {} --seed {}", flags.scale, flags.seed);
  if (!flags.systems.empty()) {
    text += fmt::format(" --systems {}", fmt::join(flags.systems, ","));
  }
  if (flags.at_once > 0) {
    text += fmt::format(" --at-once {}", flags.at_once);
  }
  for (const auto& item : flags.overrides) {
    text += fmt::format(" --set '{}'", item);
  }
  return text + fmt::format(" --out {}", flags.out);
}

/// `[2/10] Loop-3: facts 0.412, 1.234 BPB; reasoning 0.388, 0.912 BPB; 28 s`
void show_system(const SystemDone& done) {
  const auto& row = done.result;
  log_info(
      "[{}/{}] {}: facts accuracy {:.3f}, BPB {:.3f}; reasoning accuracy {:.3f}, BPB {:.3f}; {}{}",
      done.number, done.total, row.label, row.facts_accuracy, row.facts_bpb, row.reasoning_accuracy,
      row.reasoning_bpb, format_duration(row.seconds + row.evaluation_seconds),
      done.was_done ? " (done before)" : "");
}

void print_plan(const std::vector<System>& systems, bool json) {
  if (json) {
    fmt::print("{}\n", plan_to_json(systems).dump(2));
  } else {
    fmt::print("{}", format_plan(systems));
  }
}

void run_study_command(const StudyFlags& flags) {
  const StudyOptions options{
      .scale = kScales.at(flags.scale),
      .out = flags.out,
      .systems = flags.systems,
      .seed = static_cast<uint64_t>(flags.seed),
      .overrides = flags.overrides,
      .benchmark = {},
      .command = command_of(flags),
      .at_once = flags.at_once,
      // A pipe gets a line a system and no more.
      .show_progress = !runtime_settings().quiet && ::isatty(STDERR_FILENO) == 1,
      .should_stop = [] { return stop_signal() != 0; },
      .on_system = show_system};
  if (flags.dry_run) {
    print_plan(systems_of_study(options), flags.json);
    return;
  }
  if (flags.out.empty()) {
    fail(ErrorCode::kConfig, "study: expected --out DIR for the results, got none.");
  }
  watch_signals();
  const auto outcome = run_study(options);
  if (!outcome.finished) {
    log_info("Stopped and saved with {} systems done. Go on with: {}",
             outcome.result.systems.size(), options.command);
    end_by_signal();
  }
  if (flags.json) {
    fmt::print("{}\n", to_json(outcome.result).dump(2));
  } else {
    fmt::print("{}\n{}\n{}/report.html shows the same as a page.\n", format_table(outcome.result),
               compare_with_paper(outcome.result), flags.out);
  }
}

}  // namespace

void add_study(CLI::App& app) {
  auto* command = app.add_subcommand("study", "The ten systems, trained and compared");
  const auto flags = std::make_shared<StudyFlags>();
  command->add_option("--scale", flags->scale, "demo (minutes), small (hours) or paper (planned)")
      ->check(CLI::IsMember(kScales))
      ->capture_default_str();
  command->add_option("--out", flags->out,
                      "The study's folder; one that was stopped goes on, done systems are kept");
  command->add_option("--systems", flags->systems, "Names with commas between (all ten)")
      ->delimiter(',')
      ->allow_extra_args(false);
  command
      ->add_option("--seed", flags->seed,
                   "Of the invented world, the initial values and the order of the data")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      ->add_option("--set", flags->overrides,
                   "section.key=value for all systems, may be given several times")
      ->allow_extra_args(false);
  command
      ->add_option("--at-once", flags->at_once,
                   "Systems in work at a time, each on its share of the threads (demo: one a "
                   "thread; small: one)")
      ->check(CLI::PositiveNumber);
  command->add_flag("--dry-run", flags->dry_run, "What each system would cost; nothing is written");
  command->add_flag("--json", flags->json, "The results or the plan as JSON on stdout");
  command->callback([flags] { run_study_command(*flags); });
}

}  // namespace loopbank::cli
