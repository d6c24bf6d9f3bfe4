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
#include "loopbank/cli/setting_flags.h"
#include "loopbank/cli/stop_signal.h"
#include "loopbank/ranks/place.h"
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
#include "loopbank/train/run_init.h"

namespace loopbank::cli {
namespace {

struct StudyFlags {
  std::string config;
  std::string init;
  std::string scale = "demo";
  std::string out;
  std::vector<std::string> systems;
  IntOrList seeds = std::vector<int64_t>();  // none: the study's
  std::string text;
  std::vector<std::string> tasks;
  int64_t at_once = 0;
  std::string time_limit;
  std::vector<std::string> overrides;
  bool dry_run = false;
  bool json = false;
};

const std::map<std::string, Scale> kScales = {
    {"demo", Scale::kDemo}, {"small", Scale::kSmall}, {"paper", Scale::kPaper}};

/// The command line that makes, or goes on with, this study.
std::string command_of(const StudyFlags& flags) {
  auto text = !flags.config.empty() ? fmt::format("loopbank study {}", flags.config)
              : flags.init.empty()  ? fmt::format("loopbank study --scale {}", flags.scale)
                                    : std::string("loopbank study");
  text += flags.init.empty() ? "" : fmt::format(" --init {}", flags.init);
  if (!flags.seeds.values.empty()) {
    text += fmt::format(" --seeds {}", fmt::join(flags.seeds.values, ","));
  }
  if (!flags.systems.empty()) {
    text += fmt::format(" --systems {}", fmt::join(flags.systems, ","));
  }
  if (!flags.text.empty()) {
    text += fmt::format(" --text {}", flags.text);
  }
  for (const auto& folder : flags.tasks) {
    text += fmt::format(" --data {}", folder);
  }
  if (flags.at_once > 0) {
    text += fmt::format(" --at-once {}", flags.at_once);
  }
  if (!flags.time_limit.empty()) {
    text += fmt::format(" --time-limit {}", flags.time_limit);
  }
  for (const auto& item : flags.overrides) {
    text += fmt::format(" --set '{}'", item);
  }
  return text + fmt::format(" --out {}", flags.out);
}

/// A study file, or the one of systems that start from a model, or both.
StudyConfig own_study(const StudyFlags& flags, std::vector<std::string> overrides) {
  if (flags.config.empty()) {
    return retrofit_study_preset(flags.init, overrides);
  }
  if (!flags.init.empty()) {
    overrides.insert(overrides.begin(), init_setting(flags.init));
  }
  return load_study_config(flags.config, overrides);
}

/// The files that the flags name: a file of one's own, or the scale's, with text where given.
std::vector<StudyConfig> parts_of(const StudyFlags& flags) {
  auto overrides = flags.overrides;
  if (!flags.config.empty() || !flags.init.empty()) {
    if (!flags.text.empty()) {
      overrides.push_back("text.folder=" + flags.text);
    }
    auto config = own_study(flags, overrides);
    if (!flags.tasks.empty()) {
      config.text.tasks = flags.tasks;
    }
    return {std::move(config)};
  }
  std::vector<StudyConfig> parts = {study_preset(kScales.at(flags.scale), flags.overrides)};
  if (!flags.text.empty()) {
    if (flags.scale != "small") {
      fail(ErrorCode::kConfig,
           "study: expected --text with --scale small or with a study file, got --scale {}.",
           flags.scale);
    }
    overrides.push_back("text.folder=" + flags.text);
    parts.push_back(text_study_preset(overrides));
    parts.back().text.tasks = flags.tasks;
  }
  return parts;
}

/// `[2/10] Loop-3, seed 1: facts accuracy 0.412, facts BPB 1.234, ...; 28 s`
void show_run(const RunDone& done) {
  std::vector<std::string> scores;
  for (const auto& column : done.columns) {
    scores.push_back(fmt::format("{} {:.3f}", column.title, done.result.score(column).mean));
  }
  log_info("[{}/{}] {}, seed {}: {}; {}{}", done.number, done.total, done.label, done.result.seed,
           fmt::join(scores, ", "),
           format_duration(done.result.seconds + done.result.evaluation_seconds),
           done.was_done ? " (done before)" : "");
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
  if (const auto note = result.chosen_steps ? note_on(*result.chosen_steps) : ""; !note.empty()) {
    fmt::print("{}\n\n", note);
  }
  fmt::print("{}/report.html shows the same as a page, with figures.\n", flags.out);
}

/// Of several ranks, which share the study's folder and claim its runs, the first speaks.
void run_study_command(const StudyFlags& flags) {
  const bool is_first = rank_place().rank == 0;
  if (!is_first) {
    set_log_level(LogLevel::kWarning);
  }
  const StudyOptions options{
      .scale = !flags.config.empty() ? std::filesystem::path(flags.config).stem().string()
               : flags.init.empty()  ? flags.scale
                                     : "retrofit",
      .parts = parts_of(flags),
      .out = flags.out,
      .systems = flags.systems,
      .seeds = flags.seeds.values,
      .command = command_of(flags),
      .at_once = flags.at_once,
      .time_limit_seconds =
          flags.time_limit.empty() ? 0.0 : parse_duration("--time-limit", flags.time_limit),
      .makes_report = is_first,
      // A pipe gets a line a run and no more.
      .show_progress = is_first && !runtime_settings().quiet && ::isatty(STDERR_FILENO) == 1,
      .should_stop = [] { return stop_signal() != 0; },
      .on_run = show_run,
      .on_time_plan = [](const TimeReport& report) { log_info("{}", describe(report)); }};
  if (flags.dry_run) {
    if (is_first) {
      print_study_plan(planned(options.parts, flags), flags.json);
    }
    return;
  }
  if (flags.config.empty() && flags.scale == "paper") {
    fail(ErrorCode::kConfig,
         "study: expected a scale that one machine can train, demo or small, got paper. See what "
         "it takes with --scale paper --dry-run.");
  }
  if (flags.out.empty()) {
    fail(ErrorCode::kConfig, "study: expected --out DIR for the results, got none.");
  }
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
  comma_separated(add_setting_flag(
      *command,
      Field("seeds", &flags->seeds,
            "with commas between, in place of the study's; each gives an invented world, initial "
            "weights and an order of the documents")
          .minimum(0),
      "--seeds,--seed"));
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
  command->callback([flags] { run_study_command(*flags); });
}

}  // namespace loopbank::cli
