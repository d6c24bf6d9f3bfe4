#include "loopbank/study/results.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "loopbank/support/statistics.h"

namespace loopbank {
namespace {

std::string family_of(const ModelConfig& model) {
  return model.has_memory() ? "memory" : model.most_loops() > 0 ? "loops" : "dense";
}

std::vector<double> values_of(const std::vector<RunResult>& runs, double RunResult::*figure) {
  std::vector<double> values;
  for (const auto& run : runs) {
    values.push_back(run.*figure);
  }
  return values;
}

std::optional<double> spread_of(const std::vector<double>& by_seed) {
  return by_seed.size() > 1 ? std::optional(deviation_of(by_seed)) : std::nullopt;
}

ScoreSummary summarize_scores(const std::vector<RunResult>& runs, const Column& column) {
  std::vector<double> values;
  std::vector<double> squared_errors;
  for (const auto& run : runs) {
    const auto score = run.score(column);
    values.push_back(score.mean);
    squared_errors.push_back(score.standard_error * score.standard_error);
  }
  return {.mean = mean_of(values),
          .spread = spread_of(values),
          .error = std::sqrt(mean_of(squared_errors)),
          .by_seed = values};
}

std::vector<TaskSummary> summarize_tasks(const std::vector<RunResult>& runs) {
  std::vector<TaskSummary> summaries;
  const auto count = static_cast<double>(runs.size());
  for (size_t i = 0; i < runs.front().tasks.size(); ++i) {
    const auto& first = runs.front().tasks[i];
    auto& summary = summaries.emplace_back();
    summary = {.task = first.task, .instances = first.instances};
    for (const auto& run : runs) {
      summary.accuracy += run.tasks.at(i).accuracy.mean / count;
      summary.bpb += run.tasks.at(i).bpb.mean / count;
    }
  }
  return summaries;
}

/// Problems of a kind and difficulty, all seeds' together.
std::vector<DifficultyScore> summarize_difficulty(const std::vector<RunResult>& runs) {
  std::map<std::pair<std::string, int64_t>, DifficultyScore> cells;
  for (const auto& run : runs) {
    for (const auto& score : run.difficulty) {
      auto& cell = cells[{score.kind, score.difficulty}];
      const auto count = static_cast<double>(score.instances);
      cell.accuracy += score.accuracy * count;
      cell.bpb += score.bpb * count;
      cell.instances += score.instances;
    }
  }
  std::vector<DifficultyScore> summaries;
  for (auto& [key, cell] : cells) {
    const auto count = static_cast<double>(cell.instances);
    summaries.push_back({.kind = key.first,
                         .difficulty = key.second,
                         .accuracy = cell.accuracy / count,
                         .bpb = cell.bpb / count,
                         .instances = cell.instances});
  }
  return summaries;
}

}  // namespace

std::string_view claim_verdict(Verdict verdict) {
  return verdict == Verdict::kBetter  ? "as in the paper"
         : verdict == Verdict::kWorse ? "not as in the paper"
                                      : "too near to tell";
}

const SystemResult* PartResult::find(std::string_view wanted) const {
  const auto found = std::find_if(systems.begin(), systems.end(),
                                  [&](const SystemResult& row) { return row.name == wanted; });
  return found == systems.end() ? nullptr : &*found;
}

std::string PartResult::label_of(const std::string& wanted) const {
  const auto* system = find(wanted);
  return system == nullptr ? wanted : system->label;
}

const SystemComparison* PartResult::compared(const ComparedPair& pair) const {
  const auto found = comparisons.find(pair);
  return found == comparisons.end() ? nullptr : &found->second;
}

const ScoreSummary* SystemResult::score(const Column& column) const {
  const auto found = scores.find(column.key);
  return found == scores.end() ? nullptr : &found->second;
}

std::optional<double> SystemResult::paper_score(const Column& column) const {
  const auto found = paper.find(column.paper_key);
  return found == paper.end() ? std::nullopt : std::optional(found->second);
}

SystemResult summarize(const SystemRuns& all, const std::vector<Column>& columns) {
  const auto& [system, runs, folders] = all;
  const auto& model = system.run.model;
  const auto& first = runs.front();
  const auto mean = [&](double RunResult::*figure) { return mean_of(values_of(runs, figure)); };
  const auto loops = values_of(runs, &RunResult::mean_loops);
  SystemResult row{.name = system.name,
                   .label = system.label,
                   .group = system.group,
                   .family = family_of(model),
                   .layers = model.num_hidden_layers,
                   .hidden_size = model.hidden_size,
                   .intermediate_size = model.intermediate_size,
                   .loops = model.most_loops(),
                   .local_slots = model.local_memory_slots,
                   .global_slots = model.global_memory_slots,
                   .ponder_weight = model.ponder_weight,
                   .router_bias = model.router_bias_init,
                   .loop_scale_init = model.loop_scale_init,
                   .parameters = first.parameters,
                   .embedding_parameters = first.embedding_parameters,
                   .forward_flops = first.forward_flops,
                   .training_flops = first.training_flops,
                   .expected_flops = mean(&RunResult::expected_flops),
                   .expected_flops_by_seed = values_of(runs, &RunResult::expected_flops),
                   .tokens_per_second = mean(&RunResult::tokens_per_second),
                   .seconds = mean(&RunResult::seconds),
                   .evaluation_seconds = mean(&RunResult::evaluation_seconds),
                   .steps = first.steps,
                   .tokens = first.tokens,
                   .mean_loops = mean_of(loops),
                   .mean_loops_spread = spread_of(loops),
                   .validation_loss = mean(&RunResult::validation_loss),
                   .validation_bpb = mean(&RunResult::validation_bpb),
                   .seeds = {},
                   .scores = {},
                   .tasks = summarize_tasks(runs),
                   .difficulty = summarize_difficulty(runs),
                   .paper = system.paper,
                   .matches = {},
                   .curves = {},
                   .inside = {},
                   .exits = {}};
  for (const auto& run : runs) {
    row.seeds.push_back(run.seed);
  }
  for (const auto& column : columns) {
    row.scores[column.key] = summarize_scores(runs, column);
  }
  if (system.match) {
    const auto& baseline = system.match->baseline;
    row.matches = MatchResidual{.system = system.match->system,
                                .by = system.match->by,
                                .parameters = baseline.parameters.residual(),
                                .flops = baseline.forward_flops.residual(),
                                .seconds = {}};
  }
  return row;
}

void add_seconds_residuals(PartResult& part) {
  for (auto& row : part.systems) {
    const auto* target = row.matches ? part.find(row.matches->system) : nullptr;
    if (target != nullptr) {
      row.matches->seconds = row.seconds / target->seconds - 1.0;
    }
  }
}

}  // namespace loopbank
