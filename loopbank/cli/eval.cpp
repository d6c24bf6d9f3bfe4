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
#include "loopbank/cli/runtime.h"
#include "loopbank/eval/evaluate.h"
#include "loopbank/eval/result_files.h"
#include "loopbank/eval/task_files.h"
#include "loopbank/infer/inference_model.h"
#include "loopbank/support/log.h"
#include "loopbank/support/progress.h"

namespace loopbank::cli {
namespace {

struct EvalFlags {
  std::string model;
  std::vector<std::string> tasks;
  std::vector<std::string> data;
  std::vector<std::string> requests;
  std::string few_shot;
  std::string out;
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

void run_eval(EvalFlags flags) {
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
  for (const auto& task : tasks) {
    for (const auto& note : task.notes) {
      log_warning("{}", note);
    }
  }
  const auto loaded = load_inference_model(flags.model);
  Progress progress;
  if (!runtime_settings().quiet) {
    flags.options.on_progress = [&](const std::string& task, int64_t done, int64_t total) {
      progress.update(fmt::format("{}: {} of {} passages", task, done, total));
    };
  }
  auto report = evaluate(loaded.model, loaded.tokenizer, tasks, flags.options);
  report.model = flags.model;
  progress.finish();
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

/// A list in one word, so that the flag does not take the words behind it.
CLI::Option* one_word(CLI::Option* option) {
  return option->delimiter(',')->allow_extra_args(false);
}

}  // namespace

void add_eval(CLI::App& app) {
  auto* command = app.add_subcommand(
      "eval", "Accuracy and bits per byte on tasks in local files, by OLMES's conventions");
  const auto flags = std::make_shared<EvalFlags>();
  add_model_directory(*command, flags->model);
  command->get_option("MODEL_DIR")->required(false);  // --check-requests goes without
  one_word(command->add_option("--tasks", flags->tasks,
                               "Tasks and suites (commonsense, math), with commas between"));
  command
      ->add_option("--data", flags->data,
                   "Folder of the tasks' .jsonl files; may be given several times")
      ->allow_extra_args(false);
  command->add_option("--limit", flags->source.limit, "Instances per task (all)")
      ->check(CLI::PositiveNumber);
  command
      ->add_option_function<std::string>(
          "--sample",
          [flags](const std::string& choice) {
            flags->source.documents =
                choice == "olmes" ? DocumentChoice::kOlmes : DocumentChoice::kFirst;
          },
          "Documents of a task: the first ones, or those that olmes draws (first)")
      ->check(CLI::IsMember({"first", "olmes"}));
  command
      ->add_option("--shots", flags->source.shots,
                   "Examples before every query (OLMES's number for ::olmes names, else 0)")
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--check-requests", flags->requests,
                   "Compare prompts with the recorded requests in this folder; no model is needed")
      ->allow_extra_args(false);
  command->add_option("--fewshot", flags->few_shot,
                      "File of the shots: rows {\"task\", \"num_shots\", \"prefix\"}");
  one_word(
      command->add_option("--max-loops", flags->options.max_loops,
                          "Loop budgets, with commas between; one result each (the model's N)"))
      ->check(CLI::PositiveNumber);
  command->add_option("--batch-tokens", flags->options.batch_tokens, "Tokens of a batch")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
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
