/// loopbank eval MODEL_DIR: accuracy and bits per byte on tasks in local files.

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/cli/command.h"
#include "loopbank/cli/eval_compare.h"
#include "loopbank/cli/eval_requests.h"
#include "loopbank/cli/inference_flags.h"
#include "loopbank/cli/rank_session.h"
#include "loopbank/cli/runtime.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/eval/evaluate.h"
#include "loopbank/eval/result_files.h"
#include "loopbank/eval/task_files.h"
#include "loopbank/infer/inference_model.h"
#include "loopbank/ranks/place.h"
#include "loopbank/support/log.h"
#include "loopbank/support/progress.h"
#include "loopbank/train/device.h"

namespace loopbank::cli {
namespace {

constexpr double kRankTimeoutSeconds = 300.0;  // longer than one rank scores alone at the end

struct EvalFlags {
  std::string model;
  std::string device = "cpu";
  std::vector<std::string> tasks;
  std::vector<std::string> data;
  std::vector<std::string> requests;
  std::string few_shot;
  std::string out;
  std::string sample = "first";
  int64_t shots = -1;  // -1: what the task's name says, else none
  IntOrList max_loops;
  InferenceSettings inference;
  TaskSource source;
  EvalOptions options;
  bool json = false;
};

/// What a run without --check-requests cannot do without.
void require_scoring_flags(const EvalFlags& flags) {
  if (flags.model.empty() || flags.tasks.empty() || flags.data.empty()) {
    throw CLI::RequiredError(flags.model.empty()   ? "MODEL_DIR"
                             : flags.tasks.empty() ? "--tasks"
                                                   : "--data");
  }
}

/// Scores with all ranks; the first of them writes and prints.
void score_tasks(EvalFlags& flags, const std::vector<Task>& tasks, const Ranks& ranks) {
  const auto device = own_device(choose_device(flags.device, "--device"), ranks);
  const auto loaded = load_inference_model(flags.model, device);
  Progress progress;
  if (!runtime_settings().quiet && ranks.is_first()) {
    flags.options.on_progress = [&](const std::string& task, int64_t done, int64_t total) {
      progress.update(fmt::format("{}: {} of {} passages", task, done, total));
    };
  }
  flags.options.ranks = ranks;
  auto report = evaluate(loaded.model, loaded.tokenizer, tasks, flags.options);
  report.model = flags.model;
  progress.finish();
  if (!ranks.is_first()) {
    return;
  }
  if (!flags.out.empty()) {
    write_results(report, flags.out, tasks);
    log_info("results in {}", flags.out);
  }
  if (flags.json) {
    fmt::print("{}\n", to_json(report).dump(2));
  } else {
    fmt::print("{}", describe(report));
  }
}

void run_eval(EvalFlags flags) {
  flags.source.documents =
      flags.sample == "olmes" ? DocumentChoice::kOlmes : DocumentChoice::kFirst;
  if (flags.shots >= 0) {
    flags.source.shots = flags.shots;
  }
  flags.options.max_loops = flags.max_loops.values;
  flags.options.inference = flags.inference.scoring_options("eval");
  if (!flags.requests.empty()) {
    run_request_check(flags.requests,
                      {.data = {flags.data.begin(), flags.data.end()},
                       .few_shot_file = flags.few_shot,
                       .shots = flags.source.shots},
                      flags.json);
    return;
  }
  require_scoring_flags(flags);
  flags.source.directories.assign(flags.data.begin(), flags.data.end());
  flags.source.few_shot_file = flags.few_shot;
  const auto tasks = load_tasks(flags.tasks, flags.source);
  if (rank_place().rank == 0) {
    for (const auto& task : tasks) {
      for (const auto& note : task.notes) {
        log_warning("{}", note);
      }
    }
  }
  with_ranks(at::kCPU, kRankTimeoutSeconds,
             [&](const Ranks& ranks) { score_tasks(flags, tasks, ranks); });
}

}  // namespace

void add_eval(CLI::App& app) {
  auto* command = app.add_subcommand(
      "eval", "Accuracy and bits per byte on tasks in local files, by OLMES's conventions");
  const auto flags = std::make_shared<EvalFlags>();
  add_model_directory(*command, flags->model);
  add_device_flag(*command, flags->device);
  command->get_option("MODEL_DIR")->required(false);  // --check-requests goes without
  comma_separated(command->add_option("--tasks", flags->tasks,
                                      "Tasks and suites (commonsense, math), with commas between"));
  command
      ->add_option("--data", flags->data,
                   "Folder of the tasks' .jsonl files; may be given several times")
      ->allow_extra_args(false);
  add_setting_flag(*command,
                   Field("limit", &flags->source.limit, "questions per task (all)").minimum(1));
  add_setting_flag(*command, Field("sample", &flags->sample,
                                   "which documents of a task --limit keeps: the first ones, or "
                                   "those that OLMES draws (first)")
                                 .choices({"first", "olmes"}));
  add_setting_flag(*command, Field("shots", &flags->shots,
                                   "worked examples before each question (OLMES's number for "
                                   "::olmes names, else 0)")
                                 .minimum(0));
  command
      ->add_option("--check-requests", flags->requests,
                   "Compare prompts with the recorded requests in this folder; no model is needed")
      ->allow_extra_args(false);
  command->add_option("--fewshot", flags->few_shot,
                      "File of the shots: rows {\"task\", \"num_shots\", \"prefix\"}");
  add_max_loops_flag(*command, &flags->max_loops);
  add_exit_flags(*command, flags->inference);
  add_setting_flag(
      *command, Field("batch_tokens", &flags->options.batch_tokens, "tokens per batch").minimum(1))
      ->capture_default_str();
  add_precision_flag(*command, flags->options.compute_dtype);
  command->add_option("--out", flags->out, "Folder for metrics.json and a row per instance");
  command->add_flag("--json", flags->json, "The results as JSON on stdout");
  add_eval_compare(*command);
  command->callback([flags, command] {
    if (command->get_subcommands().empty()) {
      run_eval(*flags);
    }
  });
}

}  // namespace loopbank::cli
