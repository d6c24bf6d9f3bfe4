/// loopbank thinking MODEL_DIR: loops at the tokens of answers against the steps behind them.

#include "loopbank/dissect/thinking.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/cli/command.h"
#include "loopbank/cli/inference_flags.h"
#include "loopbank/cli/print_table.h"
#include "loopbank/cli/runtime.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/eval/task_files.h"
#include "loopbank/infer/inference_model.h"
#include "loopbank/support/progress.h"
#include "loopbank/train/device.h"

namespace loopbank::cli {
namespace {

struct ThinkingFlags {
  std::string model;
  std::string device = "cpu";
  std::vector<std::string> tasks;
  std::vector<std::string> data;
  TaskSource source;
  ThinkingOptions options;
  bool json = false;
};

Cells row_of(const std::string& name, const RankCorrelation& correlation) {
  return {name, fmt::format("{:+.3f}", correlation.rho),
          correlation.has_interval
              ? fmt::format("[{:+.3f}, {:+.3f}]", correlation.low, correlation.high)
              : "-"};
}

void print_thinking(const LoopsAgainstSteps& thinking) {
  std::vector<Cells> by_steps = {{"steps", "tokens", "loops", "loops by layer"}};
  for (const auto& at : thinking.by_steps) {
    by_steps.push_back({fmt::format("{}", at.steps), fmt::format("{}", at.tokens),
                        fmt::format("{:.3f}", at.loops), cell(at.loops_by_layer)});
  }
  print_table(fmt::format("{}: loops of {} answer tokens of {} questions, by the steps behind them",
                          thinking.task, thinking.tokens, thinking.questions),
              by_steps);
  std::vector<Cells> correlations = {{"loops", "rho", "95 % interval"},
                                     row_of("mean over layers", thinking.correlation),
                                     row_of("place held", thinking.given_place),
                                     row_of("loss held", thinking.given_loss)};
  for (size_t l = 0; l < thinking.by_layer.size(); ++l) {
    correlations.push_back(row_of(fmt::format("layer {}", l + 1), thinking.by_layer[l]));
  }
  print_table(fmt::format("{}: rank correlation of loops and steps", thinking.task), correlations);
}

void run_thinking(ThinkingFlags flags) {
  flags.source.directories.assign(flags.data.begin(), flags.data.end());
  const auto tasks = load_tasks(flags.tasks, flags.source);
  const auto loaded = load_inference_model(flags.model, choose_device(flags.device, "--device"));
  std::vector<LoopsAgainstSteps> all;
  Progress progress;
  for (const auto& task : tasks) {
    if (!runtime_settings().quiet) {
      flags.options.on_progress = [&](int64_t done, int64_t total) {
        progress.update(fmt::format("{}: {} of {} answers", task.name, done, total));
      };
    }
    all.push_back(loops_against_steps(
        task.name, measure_answer_tokens(loaded.model, loaded.tokenizer, task, flags.options)));
  }
  progress.finish();
  if (flags.json) {
    auto json = nlohmann::ordered_json::object();
    for (const auto& thinking : all) {
      json["thinking"].push_back(to_json(thinking));
    }
    fmt::print("{}\n", json.dump(2));
    return;
  }
  for (const auto& thinking : all) {
    print_thinking(thinking);
  }
}

}  // namespace

void add_thinking(CLI::App& app) {
  auto* command = app.add_subcommand(
      "thinking", "Whether loops go where steps are needed, on tasks whose steps are known");
  const auto flags = std::make_shared<ThinkingFlags>();
  add_model_directory(*command, flags->model);
  add_device_flag(*command, flags->device);
  comma_separated(
      command
          ->add_option("--tasks", flags->tasks, "Tasks that the program made, with commas between")
          ->required());
  command
      ->add_option("--data", flags->data,
                   "Folder of the tasks' .jsonl files; may be given several times")
      ->required()
      ->allow_extra_args(false);
  add_setting_flag(*command,
                   Field("limit", &flags->source.limit, "questions per task (all)").minimum(1));
  add_setting_flag(
      *command, Field("batch_tokens", &flags->options.batch_tokens, "tokens per batch").minimum(1))
      ->capture_default_str();
  add_precision_flag(*command, flags->options.compute_dtype);
  command->add_flag("--json", flags->json, "All of it as JSON on stdout");
  command->callback([flags] { run_thinking(*flags); });
}

}  // namespace loopbank::cli
