/// loopbank train CONFIG --out DIR: one run, from its config to a model directory.

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "loopbank/cli/command.h"
#include "loopbank/cli/rank_session.h"
#include "loopbank/cli/runtime.h"
#include "loopbank/cli/stop_signal.h"
#include "loopbank/cli/train_evaluation.h"
#include "loopbank/study/plan.h"
#include "loopbank/study/preset_data.h"
#include "loopbank/support/error.h"
#include "loopbank/support/log.h"
#include "loopbank/support/progress.h"
#include "loopbank/train/device.h"
#include "loopbank/train/run_init.h"
#include "loopbank/train/trainer.h"

namespace loopbank::cli {
namespace {

struct TrainFlags {
  std::string config;
  std::string out;
  std::string init;
  std::vector<std::string> overrides;
  bool resume = false;
  bool dry_run = false;
  bool json = false;
};

/// The command line that goes on with this run.
std::string resume_command(const TrainFlags& flags) {
  auto text = fmt::format("loopbank train {} --out {}", flags.config, flags.out);
  text += flags.init.empty() ? "" : fmt::format(" --init {}", flags.init);
  for (const auto& item : flags.overrides) {
    text += fmt::format(" --set '{}'", item);
  }
  return text + " --resume";
}

nlohmann::ordered_json to_json(const TrainResult& result, const TrainFlags& flags,
                               bool has_validation) {
  nlohmann::ordered_json json = {{"out", flags.out},
                                 {"steps", result.steps},
                                 {"finished", result.finished},
                                 {"loss", result.loss},
                                 {"validation_loss", nullptr},
                                 {"validation_bpb", nullptr},
                                 {"mean_loops", result.mean_loops},
                                 {"tokens_per_second", result.tokens_per_second},
                                 {"train_seconds", result.train_seconds}};
  if (has_validation) {
    json["validation_loss"] = result.validation_loss;
    json["validation_bpb"] = result.validation_bpb;
  }
  if (!result.evaluation.empty()) {
    for (const auto& row : result.evaluation) {
      json["evaluation"].push_back(loopbank::to_json(row));
    }
  }
  return json;
}

std::string summary(const TrainResult& result, const TrainFlags& flags, bool has_validation) {
  auto text = fmt::format("{}: {} steps in {}, loss {:.4f}", flags.out, result.steps,
                          format_duration(result.train_seconds), result.loss);
  if (has_validation) {
    text += fmt::format(", validation loss {:.4f}, BPB {:.4f}", result.validation_loss,
                        result.validation_bpb);
  }
  text += fmt::format(", mean loops {:.2f}, {} tokens/s", result.mean_loops,
                      format_count(result.tokens_per_second));
  for (const auto& row : result.evaluation) {
    text += fmt::format("\n{} at N = {}: {} {:.4f}, BPB {:.4f}", row.task, row.max_loops,
                        row.metric, row.value, row.bpb);
  }
  return text;
}

void print_run_plan(const RunConfig& config, const TrainFlags& flags, const RunCheck& check) {
  const auto plan = make_plan(config);
  if (flags.json) {
    auto json = to_json(plan);
    json["dry_run"] = true;
    json["first_step"] = check.first_step;
    if (!config.training.init.empty()) {
      json["init"] = config.training.init;
    }
    json["train_tokens"] = check.train_tokens;
    json["train_documents"] = check.train_documents;
    json["validation_tokens"] = check.validation_tokens;
    json["epochs"] = check.epochs;
    json["sources"] = nlohmann::ordered_json::array();
    for (const auto& source : check.sources) {
      json["sources"].push_back({{"path", source.path},
                                 {"kind", source.format},
                                 {"tokens", source.tokens},
                                 {"documents", source.documents},
                                 {"weight", source.weight},
                                 {"epochs", source.epochs}});
    }
    fmt::print("{}\n", json.dump(2));
    return;
  }
  const auto& training = config.training;
  fmt::print("{}\n\n{}", flags.config, describe(plan, 0.0));
  if (!training.init.empty()) {
    fmt::print("{:<28}{:>12}\n", "starts from", training.init);
  }
  fmt::print("{:<28}{:>12}\n", "  sequences a step", training.batch);
  fmt::print("{:<28}{:>12}\n", "  of these a pass",
             training.micro_batch > 0 ? training.micro_batch : training.batch);
  fmt::print("\n{:<28}{:>12}  {}\n", "training tokens",
             format_count(static_cast<double>(check.train_tokens)), config.data.train.joined());
  fmt::print("{:<28}{:>12}\n", "  documents",
             format_count(static_cast<double>(check.train_documents)));
  fmt::print("{:<28}{:>12.2f}\n", "  epochs of this run", check.epochs);
  for (const auto& source : check.sources) {
    if (check.sources.size() > 1) {
      fmt::print("{:<28}{:>12}  {} ({}): {:.2f} % of the tokens, {:.2f} epochs\n", "  of these",
                 format_count(static_cast<double>(source.tokens)), source.path, source.format,
                 100.0 * source.weight, source.epochs);
    }
  }
  if (check.validation_tokens > 0) {
    fmt::print("{:<28}{:>12}  {}\n", "validation tokens",
               format_count(static_cast<double>(check.validation_tokens)), config.data.validation);
  }
  if (check.first_step > 1) {
    fmt::print("{:<28}{:>12}\n", "resumes at step", check.first_step);
  }
  fmt::print("\nEverything is in order; without --dry-run this trains into {}.\n", flags.out);
}

/// The data of a preset that a fresh clone does not have.
void make_missing_data(const RunConfig& config, const TrainFlags& flags) {
  const auto folder = missing_preset_data(config.data);
  if (!folder) {
    return;
  }
  if (flags.dry_run) {
    fail(ErrorCode::kData,
         "{}: expected the embedded benchmark (data.benchmark = \"{}\"), got none, and a dry run "
         "writes nothing. Without --dry-run it is made there, in seconds.",
         folder->string(), config.data.benchmark);
  }
  log_info("Making the embedded benchmark in {}: it is not there yet.", folder->string());
  make_preset_data(config.data, *folder);
}

TrainOptions options_of(const RunConfig& config, const TrainFlags& flags, const Ranks& ranks) {
  return {.out = flags.out,
          .resume = flags.resume ? ResumeMode::kResume : ResumeMode::kNew,
          .show_progress = !runtime_settings().quiet,
          .should_stop = [] { return stop_signal() != 0; },
          .evaluate = make_evaluation(config, ranks),
          .ranks = ranks,
          .version = LOOPBANK_VERSION};
}

void print_result(const TrainResult& result, const RunConfig& config, const TrainFlags& flags) {
  const bool has_validation = result.finished && !config.data.validation.empty();
  if (flags.json) {
    fmt::print("{}\n", to_json(result, flags, has_validation).dump(2));
  } else {
    fmt::print("{}\n", summary(result, flags, has_validation));
  }
  if (!result.finished) {
    log_info("Stopped and saved after step {} of {}. Go on with: {}", result.steps,
             config.training.steps, resume_command(flags));
  }
}

void train_or_check(const RunConfig& config, const TrainFlags& flags) {
  if (flags.dry_run) {
    make_missing_data(config, flags);
    print_run_plan(config, flags, check_run(config, options_of(config, flags, {})));
    return;
  }
  watch_signals();
  bool finished = false;
  with_ranks(choose_device(config.training.device), config.training.rank_timeout,
             [&](const Ranks& ranks) {
               ranks.agree("training", [&] {
                 if (ranks.is_first()) {
                   make_missing_data(config, flags);
                 }
               });
               const auto result = train(config, options_of(config, flags, ranks));
               finished = result.finished;
               if (ranks.is_first()) {
                 print_result(result, config, flags);
               }
             });
  if (!finished) {
    end_by_signal();
  }
}

/// The run's config: --init is training.init, and other overrides come after it.
RunConfig config_of(const TrainFlags& flags, SettingPlaces& places) {
  auto overrides = flags.overrides;
  if (!flags.init.empty()) {
    overrides.insert(overrides.begin(), init_setting(flags.init));
  }
  return load_run_config(flags.config, overrides, flags.resume ? flags.out : "", &places);
}

void run_train(const TrainFlags& flags) {
  SettingPlaces places;
  auto config = config_of(flags, places);
  // What fits neither the data nor the machine is found later than what the config tells alone.
  check_together(places, config.sections(), "", [&] { train_or_check(config, flags); });
}

}  // namespace

void add_train(CLI::App& app) {
  auto* command = app.add_subcommand("train", "One run: checkpoints, metrics and a model");
  const auto flags = std::make_shared<TrainFlags>();
  command
      ->add_option("CONFIG", flags->config,
                   "The run's TOML; data paths in it are relative to the current directory")
      ->required();
  command->add_option("--out", flags->out, "The run's folder")->required();
  command->add_option(
      "--init", flags->init,
      "Folder of a model to start from, with a fresh optimizer; loops and memory in "
      "[model] that it lacks are added");
  command->add_option("--set", flags->overrides, "section.key=value, may be given several times")
      ->allow_extra_args(false);
  command->add_flag("--resume", flags->resume,
                    "Continue from the newest complete checkpoint in --out, or start there");
  command->add_flag("--dry-run", flags->dry_run,
                    "Check config, files and folder, print the plan and write nothing");
  command->add_flag("--json", flags->json, "The result or the plan as JSON on stdout");
  command->callback([flags] { run_train(*flags); });
}

}  // namespace loopbank::cli
