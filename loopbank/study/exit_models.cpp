/// Several models' measurements as one.

#include <algorithm>

#include "loopbank/study/exit_conclusions.h"
#include "loopbank/study/exit_row.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

std::vector<ExitTask> mean_tasks(const std::vector<ExitResult>& of_models) {
  std::vector<ExitTask> tasks;
  for (size_t t = 0; t < of_models.front().tasks.size(); ++t) {
    ExitTask task{.task = of_models.front().tasks[t].task};
    std::vector<std::vector<double>> questions;
    for (const auto& result : of_models) {
      task.value += result.tasks[t].value / static_cast<double>(of_models.size());
      questions.push_back(result.tasks[t].questions);
    }
    task.questions = pooled_documents(questions);
    tasks.push_back(std::move(task));
  }
  return tasks;
}

ExitResult mean_result(std::vector<ExitResult> of_models) {
  auto mean = of_models.front();
  for (const auto& [key, figure] : kExitFigures) {
    double sum = 0.0;
    for (const auto& result : of_models) {
      sum += result.*figure;
    }
    mean.*figure = sum / static_cast<double>(of_models.size());
  }
  const auto lists = [&](const std::vector<double> ExitResult::*list) {
    std::vector<std::vector<double>> values;
    for (const auto& result : of_models) {
      values.push_back(result.*list);
    }
    return values;
  };
  mean.mean_loops_by_layer = pooled_documents(lists(&ExitResult::mean_loops_by_layer));
  mean.tasks = mean_tasks(of_models);
  mean.document_bpb = pooled_documents(lists(&ExitResult::document_bpb));
  mean.by_model = std::move(of_models);
  return mean;
}

bool is_same_row(const ExitResult& a, const ExitResult& b) {
  return a.rule == b.rule && a.kv == b.kv && a.where == b.where &&
         a.mean_loops_by_layer.size() == b.mean_loops_by_layer.size() &&
         a.tasks.size() == b.tasks.size();
}

}  // namespace

ExitStudy combine_exits(std::vector<ExitStudy> of_models) {
  if (of_models.size() == 1) {
    return std::move(of_models.front());
  }
  const auto& first = of_models.front();
  for (const auto& other : of_models) {
    if (!std::equal(first.results.begin(), first.results.end(), other.results.begin(),
                    other.results.end(), is_same_row)) {
      fail(ErrorCode::kShape,
           "combine_exits: expected {} rows of the same rules, policies and tasks of every model, "
           "got {} of one.",
           first.results.size(), other.results.size());
    }
  }
  ExitStudy study{.documents = first.documents,
                  .scored_tokens = first.scored_tokens,
                  .timed_documents = first.timed_documents,
                  .models = static_cast<int64_t>(of_models.size())};
  for (const auto& other : of_models) {
    study.counts_together = study.counts_together || other.documents != first.documents ||
                            other.scored_tokens != first.scored_tokens;
  }
  if (study.counts_together) {
    study.documents = study.scored_tokens = 0;
    for (const auto& other : of_models) {
      study.documents += other.documents;
      study.scored_tokens += other.scored_tokens;
    }
  }
  for (size_t row = 0; row < first.results.size(); ++row) {
    std::vector<ExitResult> same;
    for (const auto& of_model : of_models) {
      same.push_back(of_model.results[row]);
    }
    study.results.push_back(mean_result(std::move(same)));
  }
  conclude_exits(study);
  return study;
}

}  // namespace loopbank
