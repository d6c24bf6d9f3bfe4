#include "loopbank/cli/train_evaluation.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "loopbank/cli/data_command.h"
#include "loopbank/eval/evaluate.h"
#include "loopbank/eval/result_files.h"
#include "loopbank/eval/task_files.h"

namespace loopbank::cli {
namespace {

struct Evaluation {
  Tokenizer tokenizer;
  std::vector<Task> tasks;
  EvalOptions options;
};

std::vector<Task> tasks_of(const EvaluationConfig& config) {
  TaskSource source;
  source.directories.assign(config.data.begin(), config.data.end());
  source.limit = config.limit;
  source.few_shot_file = config.fewshot;
  if (config.shots >= 0) {
    source.shots = config.shots;
  }
  return load_tasks(config.tasks, source);
}

EvalOptions options_of(const RunConfig& config) {
  EvalOptions options;
  options.max_loops = config.evaluation.max_loops.values;
  options.compute_dtype = config.training.forward_options().compute_dtype;
  return options;
}

std::vector<EvaluationMetrics> rows_of(const EvalReport& report) {
  std::vector<EvaluationMetrics> rows;
  for (const auto& result : report.results) {
    rows.push_back({.task = result.task,
                    .metric = std::string(metric_name(result.metric)),
                    .value = result.value.mean,
                    .bpb = result.bpb.mean,
                    .instances = static_cast<int64_t>(result.instances.size()),
                    .max_loops = result.max_loops,
                    .mean_loops = result.mean_loops,
                    .seconds = result.cost.seconds});
  }
  for (const auto& suite : report.suites) {
    int64_t instances = 0;
    for (const auto& result : report.results) {
      const bool is_member =
          std::find(suite.tasks.begin(), suite.tasks.end(), result.task) != suite.tasks.end();
      if (is_member && result.max_loops == suite.max_loops) {
        instances += static_cast<int64_t>(result.instances.size());
      }
    }
    rows.push_back({.task = suite.suite,
                    .metric = suite_metric(suite),
                    .value = suite.value,
                    .bpb = suite.bpb,
                    .instances = instances,
                    .max_loops = suite.max_loops,
                    .mean_loops = suite.mean_loops,
                    .seconds = suite.cost.seconds,
                    .is_suite = true});
  }
  return rows;
}

}  // namespace

std::function<std::vector<EvaluationMetrics>(const LanguageModel&)> make_evaluation(
    const RunConfig& config, const Ranks& ranks) {
  if (config.evaluation.tasks.empty()) {
    return {};
  }
  if (config.data.tokenizer.empty()) {  // which the run refuses in its own words
    return [](const LanguageModel&) { return std::vector<EvaluationMetrics>(); };
  }
  const auto evaluation =
      std::make_shared<Evaluation>(Evaluation{.tokenizer = open_tokenizer(config.data.tokenizer),
                                              .tasks = tasks_of(config.evaluation),
                                              .options = options_of(config)});
  evaluation->options.ranks = ranks;
  check_evaluation(config.model, evaluation->tokenizer, evaluation->tasks, evaluation->options);
  return [evaluation](const LanguageModel& model) {
    return rows_of(evaluate(model, evaluation->tokenizer, evaluation->tasks, evaluation->options));
  };
}

}  // namespace loopbank::cli
