/// loopbank study --out DIR: the ten systems of the paper's table on data that the program makes.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/cli/command.h"
#include "loopbank/cli/runtime.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/cli/stop_signal.h"
#include "loopbank/cli/study_figures.h"
#include "loopbank/cli/study_flags.h"
#include "loopbank/cli/study_noise.h"
#include "loopbank/ranks/place.h"
#include "loopbank/study/capacity.h"
#include "loopbank/study/dead_parts.h"
#include "loopbank/study/dry_run.h"
#include "loopbank/study/exits_table.h"
#include "loopbank/study/results_json.h"
#include "loopbank/study/runner.h"
#include "loopbank/study/table.h"
#include "loopbank/support/duration.h"
#include "loopbank/support/error.h"
#include "loopbank/support/log.h"
#include "loopbank/support/progress.h"

namespace loopbank::cli {
namespace {

/// `[2/10] Loop-3, seed 1: facts accuracy 0.412, facts BPB 1.234, ...; 0:28, time left 12 min`
void show_run(const RunDone& done) {
  std::vector<std::string> scores;
  for (const auto& column : done.columns) {
    scores.push_back(fmt::format("{} {:.3f}", column.title, done.result.score(column).mean));
  }
  const auto time_left =
      done.seconds_left ? fmt::format(", time left {}", format_time_left(*done.seconds_left)) : "";
  log_info("[{}/{}] {}, seed {}: {}; {}{}{}", done.number, done.total, done.label, done.result.seed,
           fmt::join(scores, ", "),
           format_duration(done.result.seconds + done.result.evaluation_seconds),
           done.was_done ? " (done before)" : "", time_left);
}

/// Systems of both parts, those with these names.
std::vector<System> planned(const std::vector<StudyConfig>& parts, const StudyFlags& flags) {
  std::vector<System> systems;
  for (const auto& part : parts) {
    for (auto& system : choose_systems(study_systems(part), flags.systems)) {
      systems.push_back(std::move(system));
    }
  }
  return systems;
}

void print_study_plan(const std::vector<System>& systems, bool json) {
  if (json) {
    fmt::print("{}\n", plan_to_json(systems).dump(2));
  } else {
    fmt::print("{}", format_plan(systems));
  }
}

void print_results(const StudyResult& result, const StudyFlags& flags) {
  if (flags.json) {
    fmt::print("{}\n", to_json(result).dump(2));
    return;
  }
  for (const auto& part : result.parts) {
    if (result.parts.size() > 1) {
      fmt::print("{}\n\n", part.title);
    }
    fmt::print("{}\n{}\n{}\n", format_table(part), format_claims(part), format_exits(part));
    fmt::print("{}", format_dead_parts(part));
  }
  if (const auto capacity = format_capacity(capacity_points(result)); !capacity.empty()) {
    fmt::print("{}\n", capacity);
  }
  if (const auto note = result.chosen_steps ? note_on(*result.chosen_steps) : ""; !note.empty()) {
    fmt::print("{}\n\n", note);
  }
  fmt::print("{}/report.html shows the same as a page, with figures.\n", flags.out);
}

std::string scale_of(const StudyFlags& flags) {
  return !flags.config.empty() ? std::filesystem::path(flags.config).stem().string()
         : flags.init.empty()  ? flags.scale
                               : "retrofit";
}

/// Of several ranks, which share the study's folder and claim its runs, the first speaks.
bool is_first_rank() {
  const bool is_first = rank_place().rank == 0;
  if (!is_first) {
    set_log_level(LogLevel::kWarning);
  }
  return is_first;
}

/// Runs the study to its end and prints it.
/// @param command  that goes on with it
void run_parts(const StudyFlags& flags, std::vector<StudyConfig> parts, const std::string& command,
               std::function<void()> on_open) {
  const bool is_first = is_first_rank();
  const StudyOptions options{
      .scale = scale_of(flags),
      .parts = std::move(parts),
      .out = flags.out,
      .systems = flags.systems,
      .seeds = {},  // the parts have theirs
      .command = command,
      .at_once = flags.at_once,
      .time_limit_seconds =
          flags.time_limit.empty() ? 0.0 : parse_duration("--time-limit", flags.time_limit),
      .makes_report = is_first,
      .show_progress = is_first && !runtime_settings().quiet,
      .should_stop = [] { return stop_signal() != 0; },
      .on_run = show_run,
      .on_open = is_first ? std::move(on_open) : nullptr,
      .on_time_plan = [](const TimeReport& report) { log_info("{}", describe(report)); }};
  watch_signals();
  const auto outcome = run_study(options);
  if (!outcome.finished) {
    log_info("Stopped and saved. Go on with: {}", options.command);
    end_by_signal();
  }
  if (is_first) {
    print_results(outcome.result, flags);
  }
}

void run_study_command(const StudyFlags& flags) {
  auto parts = parts_of(flags);
  if (flags.dry_run) {
    if (is_first_rank()) {
      print_study_plan(planned(parts, flags), flags.json);
    }
    return;
  }
  if (flags.config.empty() && flags.init.empty() && flags.scale == "paper") {
    fail(ErrorCode::kConfig,
         "study: expected a scale that one machine can train, demo or small, got paper. See what "
         "it takes with --scale paper --dry-run.");
  }
  if (flags.out.empty()) {
    fail(ErrorCode::kConfig, "study: expected --out DIR for the results, got none.");
  }
  check_folder_of_one_seed(flags, parts);
  run_parts(flags, parts, command_of(flags), [&] { remember_study(flags.out, flags, parts); });
}

struct AddSeedFlags {
  std::string folder;
  int64_t count = 1;
  int64_t at_once = 0;
  bool json = false;
};

/// Every rank adds the seeds that the first has chosen.
void run_add_seed(const AddSeedFlags& given) {
  if (rank_place().size > 1) {
    fail(ErrorCode::kConfig,
         "study add-seed: expected one process, got {} ranks. Start several processes with "
         "loopbank study and the folder's own flags instead.",
         rank_place().size);
  }
  auto parts = add_seeds(given.folder, given.count);
  auto flags = read_stored_study(given.folder).flags;
  flags.json = given.json;
  flags.at_once = given.at_once > 0 ? given.at_once : flags.at_once;
  run_parts(flags, std::move(parts), fmt::format("loopbank study add-seed {} --count 0", flags.out),
            {});
}

void add_add_seed(CLI::App& study) {
  auto* command = study.add_subcommand(
      "add-seed", "More seeds for the study in a folder, by what it was started with");
  const auto flags = std::make_shared<AddSeedFlags>();
  command->add_option("DIR", flags->folder, "The study's folder")->required();
  add_setting_flag(
      *command, Field("count", &flags->count, "seeds to add; 0: only go on with those that it has")
                    .range(0, 1000))
      ->capture_default_str();
  add_setting_flag(*command,
                   Field("at_once", &flags->at_once, "as of `study`; as before").minimum(1));
  command->add_flag("--json", flags->json, "The results as JSON on stdout");
  command->callback([flags] { run_add_seed(*flags); });
}

}  // namespace

void add_study(CLI::App& app) {
  auto* command = app.add_subcommand("study", "The ten systems, trained and compared");
  const auto flags = std::make_shared<StudyFlags>();
  command->add_option("CONFIG", flags->config, "A study file of your own instead of a scale")
      ->check(CLI::ExistingFile);
  auto* scale =
      add_setting_flag(*command,
                       Field("scale", &flags->scale,
                             "how large: demo (minutes), small (hours) or paper (to plan only)")
                           .choices({"demo", "small", "paper"}))
          ->capture_default_str();
  command
      ->add_option(
          "--init", flags->init,
          "Folder of a dense model that all systems start from, each given other loops and "
          "memory; without CONFIG: the systems of configs/study/retrofit.toml")
      ->excludes(scale);
  command->add_option("--out", flags->out,
                      "The study's folder; a stopped study continues, done systems are kept");
  comma_separated(
      command->add_option("--systems", flags->systems, "Names with commas between (all ten)"));
  auto* seeds = comma_separated(add_setting_flag(
      *command, Field("seeds", &flags->seeds,
                      "how many, of the study's first and then on from its last; or which, at "
                      "least two with commas between. Each gives an invented world, initial "
                      "weights and an order of the documents")
                    .minimum(0)));
  comma_separated(add_setting_flag(*command, Field("seed", &flags->seed,
                                                   "which, with commas between; one is "
                                                   "that one seed")
                                                 .minimum(0)))
      ->excludes(seeds);
  command->add_option("--text", flags->text,
                      "Folder of text (.jsonl, .txt, .gz, .zst) to train on as well (small)");
  command->add_option("--data", flags->tasks, "Folders of the tasks' files for --text")
      ->allow_extra_args(false);
  command
      ->add_option("--set", flags->overrides,
                   "section.key=value for all systems, may be given several times")
      ->allow_extra_args(false);
  add_setting_flag(*command, Field("at_once", &flags->at_once,
                                   "runs at a time, each on its share of the threads (small "
                                   "models: one per thread; others: one)")
                                 .minimum(1));
  command->add_option("--time-limit", flags->time_limit,
                      "300s, 5min or 1.5h: measures this machine and takes as many steps, the same "
                      "for all systems, as end in that time; below half of the study's steps "
                      "systems are left out");
  command->add_flag("--dry-run", flags->dry_run, "What each system would cost; nothing is written");
  command->add_flag("--json", flags->json, "The results or the plan as JSON on stdout");
  add_add_seed(*command);
  add_study_figures(*command);
  add_study_noise(*command);
  command->callback([flags, command] {
    if (command->get_subcommands().empty()) {
      run_study_command(*flags);
    }
  });
}

}  // namespace loopbank::cli
