#include "loopbank/cli/bench_exit.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/cli/inference_flags.h"
#include "loopbank/cli/runtime.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/eval/task_files.h"
#include "loopbank/infer/inference_model.h"
#include "loopbank/study/exit_page.h"
#include "loopbank/study/exit_study.h"
#include "loopbank/support/files.h"
#include "loopbank/support/log.h"
#include "loopbank/support/progress.h"
#include "loopbank/train/run_config.h"

namespace loopbank::cli {
namespace {

struct ExitFlags {
  std::string model;
  std::string text;
  std::string out;
  std::vector<std::string> tasks;
  std::vector<std::string> data;
  int64_t document_tokens = 0;  // 0: not given
  TaskSource source;
  ExitStudyOptions options;
  bool json = false;
};

/// As long as the rows that the model was trained on, where its folder tells.
int64_t trained_length(const std::string& directory, const ModelConfig& config) {
  const auto run = std::filesystem::path(directory) / "run.toml";
  return std::filesystem::exists(run) ? std::min(load_run_config(run, {}).training.sequence_length,
                                                 config.max_position_embeddings)
                                      : config.max_position_embeddings;
}

std::vector<Task> tasks_of(ExitFlags& flags) {
  if (flags.tasks.empty()) {
    return {};
  }
  if (flags.data.empty()) {
    throw CLI::RequiredError("--data");
  }
  flags.source.directories.assign(flags.data.begin(), flags.data.end());
  return load_tasks(flags.tasks, flags.source);
}

nlohmann::ordered_json measure(ExitFlags flags, ExitStudy& study) {
  const auto tasks = tasks_of(flags);
  const auto loaded = load_inference_model(flags.model);
  const auto& config = loaded.model.config();
  flags.options.document_tokens =
      flags.document_tokens > 0 ? flags.document_tokens : trained_length(flags.model, config);
  const auto documents = read_exit_documents(flags.text, loaded.tokenizer, flags.options);
  Progress progress;
  if (!runtime_settings().quiet) {
    flags.options.on_progress = [&](int64_t done, int64_t total) {
      progress.update(fmt::format("{} of {}", done + 1, total));
    };
  }
  study = measure_exits(loaded.model, loaded.tokenizer, documents, tasks, flags.options);
  progress.finish();
  nlohmann::ordered_json json = {
      {"model", flags.model},
      {"text", flags.text},
      {"dtype", flags.options.compute_dtype == at::kBFloat16 ? "bf16" : "fp32"},
      {"threads", at::get_num_threads()},
      {"loops", config.most_loops()},
      {"layers", config.num_hidden_layers},
      {"document_tokens", flags.options.document_tokens},
      {"turns", flags.options.turns}};
  json.update(to_json(study));
  return json;
}

void run_exit(const ExitFlags& flags) {
  ExitStudy study;
  const auto json = measure(flags, study);
  std::filesystem::create_directories(flags.out);
  const auto lead = fmt::format(
      "{} on {}: {} tokens of {} documents scored, in {} on {} threads, times of {} documents.",
      flags.model, flags.text, study.scored_tokens, study.documents,
      json.at("dtype").get<std::string>(), json.at("threads").get<int>(), study.timed_documents);
  write_files_atomically(flags.out, {{"results.json", json.dump(1) + "\n"},
                                     {"exit.html", exit_page(study, "loopbank exits", lead)}});
  log_info("results in {}", flags.out);
  fmt::print("{}", flags.json ? json.dump() + "\n" : describe(study));
}

}  // namespace

void add_bench_exit(CLI::App& bench) {
  auto* command =
      bench.add_subcommand("exit", "What stopping early costs, and what it saves: every exit rule");
  const auto flags = std::make_shared<ExitFlags>();
  auto& options = flags->options;
  add_model_directory(*command, flags->model);
  command
      ->add_option("--text", flags->text,
                   "Held-out documents: .jsonl (field text) or .txt, .gz, .zst")
      ->required();
  command->add_option("--out", flags->out, "Folder for results.json and exit.html")->required();
  comma_separated(
      command->add_option("--tasks", flags->tasks, "Tasks and suites to be scored by each rule"));
  command
      ->add_option("--data", flags->data,
                   "Folder of the tasks' .jsonl files; may be given several times")
      ->allow_extra_args(false);
  add_setting_flag(*command,
                   Field("limit", &flags->source.limit, "questions per task (all)").minimum(1));
  command->add_option("--rules", options.rules,
                      "Rules to compare with all, as --exit takes them, spaces between (a grid)");
  comma_separated(
      command->add_option("--policies", options.policies, "Policies of keys and values (all)"));
  add_precision_flag(*command, options.compute_dtype, "--dtype");
  for (const auto& field :
       {Field("limit_tokens", &options.limit_tokens, "tokens scored").minimum(2),
        Field("timed_documents", &options.timed_documents, "documents that are timed").minimum(1),
        Field("turns", &options.turns, "of each rule and all; the times are medians").minimum(1)}) {
    add_setting_flag(*command, field)->capture_default_str();
  }
  add_setting_flag(*command, Field("document_tokens", &flags->document_tokens,
                                   "tokens read of a document (as in training)")
                                 .minimum(32));
  command->add_flag("--json", flags->json, "results.json as one line on stdout");
  command->callback([flags] { run_exit(*flags); });
}

}  // namespace loopbank::cli
