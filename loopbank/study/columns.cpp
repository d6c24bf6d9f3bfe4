#include "loopbank/study/columns.h"

#include <fmt/format.h>

#include <algorithm>

#include "loopbank/benchmark/benchmark_instance.h"
#include "loopbank/benchmark/biographies.h"
#include "loopbank/eval/task_files.h"
#include "loopbank/support/append_missing.h"

namespace loopbank {

namespace {

/// "p-hop_bpb": a task's figure.
Column task_column(const std::string& task, const std::string& kind, Measure measure) {
  const std::string title = measure == Measure::kAccuracy ? "accuracy"
                            : measure == Measure::kBpb    ? "BPB"
                                                          : "bits a parameter";
  return {.key = fmt::format("{}_{}", task, name_of(measure)),
          .title = fmt::format("{} {}", task, title),
          .kind = kind,
          .measure = measure,
          .tasks = {task},
          .paper_key = {},
          .paper_title = {},
          .guessing = {}};
}

/// Facts about invented people: what is known of them, not how well it is reasoned with.
std::vector<Column> capacity_columns(const SyntheticOptions& options) {
  std::vector<Column> columns;
  for (const auto measure : {Measure::kBitsAParameter, Measure::kAccuracy, Measure::kBpb}) {
    columns.push_back(task_column(options.task, "knowledge", measure));
  }
  columns[0].facts = num_facts(options);
  columns[1].guessing = guessing_of(options, options.task);
  return columns;
}

/// Accuracy and bits per byte of each task. The one that is trained on stands for reasoning.
std::vector<Column> synthetic_columns(const SyntheticOptions& options) {
  if (options.task == kBiographiesTask) {
    return capacity_columns(options);
  }
  std::vector<Column> columns;
  for (const auto& task : tasks_of(options)) {
    const std::string kind = task == options.task ? "reasoning" : "beyond";
    for (const auto measure : {Measure::kAccuracy, Measure::kBpb}) {
      columns.push_back(task_column(task, kind, measure));
      if (measure == Measure::kAccuracy) {
        columns.back().guessing = guessing_of(options, task);
      }
    }
  }
  return columns;
}

}  // namespace

std::string_view name_of(Measure measure) {
  return measure == Measure::kAccuracy ? "accuracy"
         : measure == Measure::kBpb    ? "bpb"
                                       : "bits_a_parameter";
}

std::vector<Column> columns_of(const StudyConfig& config) {
  if (config.is_synthetic()) {
    return synthetic_columns(config.synthetic);
  }
  const bool text = config.is_text();
  const std::string knowledge = text ? config.text.knowledge : kFactsTask;
  const std::string reasoning = text ? config.text.reasoning : kReasoningTask;
  const auto guessing = text ? std::nullopt : std::optional<double>(1.0 / kBenchmarkChoices);
  const auto knowledge_tasks = text ? expand_suites({knowledge}) : std::vector{knowledge};
  const auto reasoning_tasks = text ? expand_suites({reasoning}) : std::vector{reasoning};
  std::vector<Column> columns = {{.key = knowledge + "_accuracy",
                                  .title = knowledge + " accuracy",
                                  .kind = "knowledge",
                                  .measure = Measure::kAccuracy,
                                  .tasks = knowledge_tasks,
                                  .paper_key = "commonsense_accuracy",
                                  .paper_title = "CS Acc",
                                  .guessing = guessing},
                                 {.key = knowledge + "_bpb",
                                  .title = knowledge + " BPB",
                                  .kind = "knowledge",
                                  .measure = Measure::kBpb,
                                  .tasks = knowledge_tasks,
                                  .paper_key = "commonsense_bpb",
                                  .paper_title = "CS BPB",
                                  .guessing = {}},
                                 {.key = reasoning + "_bpb",
                                  .title = reasoning + " BPB",
                                  .kind = "reasoning",
                                  .measure = Measure::kBpb,
                                  .tasks = reasoning_tasks,
                                  .paper_key = "math_bpb",
                                  .paper_title = "Math BPB",
                                  .guessing = {}}};
  if (!text) {
    columns.push_back({.key = reasoning + "_accuracy",
                       .title = reasoning + " accuracy",
                       .kind = "reasoning",
                       .measure = Measure::kAccuracy,
                       .tasks = reasoning_tasks,
                       .paper_key = {},
                       .paper_title = {},
                       .guessing = guessing});
  }
  if (config.is_retrofit()) {  // the paper's systems start anew
    for (auto& column : columns) {
      column.paper_key.clear();
      column.paper_title.clear();
    }
  }
  return columns;
}

bool has_bpb(const std::vector<Column>& columns) {
  return std::any_of(columns.begin(), columns.end(),
                     [](const Column& column) { return column.is_bpb(); });
}

std::vector<std::string> tasks_of(const std::vector<Column>& columns) {
  std::vector<std::string> names;
  for (const auto& column : columns) {
    append_missing(names, column.tasks);
  }
  return names;
}

const Column* find_column(const std::vector<Column>& columns, std::string_view kind,
                          Measure measure) {
  const auto found = std::find_if(columns.begin(), columns.end(), [&](const Column& column) {
    return column.kind == kind && column.measure == measure;
  });
  return found == columns.end() ? nullptr : &*found;
}

const Column* find_column(const std::vector<Column>& columns, std::string_view key) {
  const auto found = std::find_if(columns.begin(), columns.end(),
                                  [&](const Column& column) { return column.key == key; });
  return found == columns.end() ? nullptr : &*found;
}

}  // namespace loopbank
