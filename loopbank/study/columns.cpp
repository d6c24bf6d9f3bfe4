#include "loopbank/study/columns.h"

#include <algorithm>

#include "loopbank/benchmark/benchmark_instance.h"
#include "loopbank/eval/task_files.h"

namespace loopbank {

namespace {

/// Accuracy and bits per byte of each task. The one that is trained on stands for reasoning.
std::vector<Column> synthetic_columns(const SyntheticOptions& options) {
  std::vector<Column> columns;
  for (const auto& task : tasks_of(options)) {
    const std::string kind = task == options.task ? "reasoning" : "beyond";
    for (const bool is_bpb : {false, true}) {
      columns.push_back({.key = task + (is_bpb ? "_bpb" : "_accuracy"),
                         .title = task + (is_bpb ? " BPB" : " accuracy"),
                         .kind = kind,
                         .is_bpb = is_bpb,
                         .tasks = {task},
                         .paper_key = {},
                         .paper_title = {},
                         .guessing = {}});
    }
  }
  return columns;
}

}  // namespace

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
                                  .is_bpb = false,
                                  .tasks = knowledge_tasks,
                                  .paper_key = "commonsense_accuracy",
                                  .paper_title = "CS Acc",
                                  .guessing = guessing},
                                 {.key = knowledge + "_bpb",
                                  .title = knowledge + " BPB",
                                  .kind = "knowledge",
                                  .is_bpb = true,
                                  .tasks = knowledge_tasks,
                                  .paper_key = "commonsense_bpb",
                                  .paper_title = "CS BPB",
                                  .guessing = {}},
                                 {.key = reasoning + "_bpb",
                                  .title = reasoning + " BPB",
                                  .kind = "reasoning",
                                  .is_bpb = true,
                                  .tasks = reasoning_tasks,
                                  .paper_key = "math_bpb",
                                  .paper_title = "Math BPB",
                                  .guessing = {}}};
  if (!text) {
    columns.push_back({.key = reasoning + "_accuracy",
                       .title = reasoning + " accuracy",
                       .kind = "reasoning",
                       .is_bpb = false,
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

std::vector<std::string> tasks_of(const std::vector<Column>& columns) {
  std::vector<std::string> names;
  for (const auto& column : columns) {
    for (const auto& task : column.tasks) {
      if (std::find(names.begin(), names.end(), task) == names.end()) {
        names.push_back(task);
      }
    }
  }
  return names;
}

const Column* find_column(const std::vector<Column>& columns, std::string_view kind, bool is_bpb) {
  const auto found = std::find_if(columns.begin(), columns.end(), [&](const Column& column) {
    return column.kind == kind && column.is_bpb == is_bpb;
  });
  return found == columns.end() ? nullptr : &*found;
}

const Column* find_column(const std::vector<Column>& columns, std::string_view key) {
  const auto found = std::find_if(columns.begin(), columns.end(),
                                  [&](const Column& column) { return column.key == key; });
  return found == columns.end() ? nullptr : &*found;
}

}  // namespace loopbank
