#include "loopbank/study/columns.h"

#include <algorithm>

#include "loopbank/benchmark/benchmark_instance.h"
#include "loopbank/eval/task_files.h"

namespace loopbank {

std::vector<Column> columns_of(const StudyConfig& config) {
  const bool text = config.is_text();
  const std::string knowledge = text ? config.text.knowledge : kFactsTask;
  const std::string reasoning = text ? config.text.reasoning : kReasoningTask;
  const auto chance = text ? std::nullopt : std::optional<double>(1.0 / kBenchmarkChoices);
  const auto knowledge_tasks = text ? expand_suites({knowledge}) : std::vector{knowledge};
  const auto reasoning_tasks = text ? expand_suites({reasoning}) : std::vector{reasoning};
  std::vector<Column> columns = {
      {knowledge + "_accuracy", knowledge + " accuracy", "knowledge", false, knowledge_tasks,
       &PaperScores::commonsense_accuracy, "commonsense_accuracy", "CS Acc", chance},
      {knowledge + "_bpb",
       knowledge + " BPB",
       "knowledge",
       true,
       knowledge_tasks,
       &PaperScores::commonsense_bpb,
       "commonsense_bpb",
       "CS BPB",
       {}},
      {reasoning + "_bpb",
       reasoning + " BPB",
       "reasoning",
       true,
       reasoning_tasks,
       &PaperScores::math_bpb,
       "math_bpb",
       "Math BPB",
       {}}};
  if (!text) {
    columns.push_back({reasoning + "_accuracy", reasoning + " accuracy", "reasoning", false,
                       reasoning_tasks, nullptr, "", "", chance});
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

}  // namespace loopbank
