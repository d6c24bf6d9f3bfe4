#include "loopbank/study/run_result.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "loopbank/data/sampler.h"
#include "loopbank/eval/json_lines.h"
#include "loopbank/infer/inference_model.h"
#include "loopbank/model/cost.h"
#include "loopbank/study/plan.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/json.h"
#include "loopbank/support/json_members.h"
#include "loopbank/support/statistics.h"
#include "loopbank/train/device.h"
#include "loopbank/train/run_data.h"

namespace loopbank {
namespace {

const MembersForm kMetricsForm = {.expected = "the validations of a run"};

/// A row's value at the end of a list; nothing where it has none.
template <typename Value>
void append(const JsonReader& row, const char* key, std::vector<Value>& values) {
  if (row.find(key) != nullptr) {
    row(key, values.emplace_back());
  }
}

/// "reasoning-sum-3-17" as ("sum", 3); an empty kind for ids of another form.
std::pair<std::string, int64_t> kind_and_difficulty(const std::string& id) {
  const auto last = id.rfind('-');
  const auto before = last == std::string::npos || last == 0 ? last : id.rfind('-', last - 1);
  const auto first = id.find('-');
  if (before == std::string::npos || first >= before) {
    return {};
  }
  const auto digits = id.substr(before + 1, last - before - 1);
  if (digits.empty() || digits.size() > 3 ||
      digits.find_first_not_of("0123456789") != std::string::npos) {
    return {};
  }
  return {id.substr(first + 1, before - first - 1), std::stoll(digits)};
}

double mean_over(const std::vector<const InstanceResult*>& instances, Metric metric) {
  std::vector<double> values;
  for (const auto* instance : instances) {
    values.push_back(instance_value(metric, instance->choices, instance->label));
  }
  return estimate_mean(values).mean;
}

std::vector<DifficultyScore> by_difficulty(const TaskResult& task) {
  std::map<std::pair<std::string, int64_t>, std::vector<const InstanceResult*>> cells;
  for (const auto& instance : task.instances) {
    const auto cell = kind_and_difficulty(instance.id);
    if (!cell.first.empty()) {
      cells[cell].push_back(&instance);
    }
  }
  std::vector<DifficultyScore> scores;
  for (const auto& [cell, instances] : cells) {
    scores.push_back({.kind = cell.first,
                      .difficulty = cell.second,
                      .accuracy = mean_over(instances, task.metric),
                      .bpb = mean_over(instances, Metric::kBitsPerByte),
                      .instances = static_cast<int64_t>(instances.size())});
  }
  return scores;
}

double embedding_parameters(const CostByPart& parameters) {
  double sum = 0.0;
  for (const auto& [part, count] : parameters.parts) {
    sum += part == "embedding" || part == "head" ? count : 0.0;
  }
  return sum;
}

}  // namespace

Estimate RunResult::score(const Column& column) const {
  double sum = 0.0;
  double squares = 0.0;
  for (const auto& name : column.tasks) {
    const auto found = std::find_if(tasks.begin(), tasks.end(),
                                    [&](const TaskScore& task) { return task.task == name; });
    const bool is_bits = column.measure == Measure::kBitsAParameter;
    if (found == tasks.end() || (is_bits && !found->known_bits)) {
      fail(ErrorCode::kData,
           "{}, seed {}: expected a score for {}, got none. Score it anew: remove "
           "its result.json.",
           system, seed, name);
    }
    const auto& score = is_bits           ? *found->known_bits
                        : column.is_bpb() ? found->bpb
                                          : found->accuracy;
    sum += score.mean;
    squares += score.standard_error * score.standard_error;
  }
  const auto share = column.scale(parameters) / static_cast<double>(column.tasks.size());
  return {.mean = share * sum, .standard_error = share * std::sqrt(squares)};
}

RunResult make_run_result(const System& system, const TrainResult& trained,
                          const EvalReport& report, double tokens_per_second) {
  const auto plan = make_plan(system.run);
  RunResult result{.system = system.name,
                   .seed = system.run.training.seed,
                   .parameters = plan.cost.parameters.total(),
                   .embedding_parameters = embedding_parameters(plan.cost.parameters),
                   .forward_flops = plan.cost.forward_flops.total(),
                   .training_flops = plan.cost.training_flops,
                   .tasks = {},
                   .difficulty = {},
                   .mean_loops = 0.0,
                   .validation_loss = trained.validation_loss,
                   .validation_bpb = trained.validation_bpb,
                   .tokens_per_second = tokens_per_second,
                   .steps = trained.steps,
                   .tokens = plan.tokens,
                   .seconds = trained.train_seconds};
  for (const auto& task : report.results) {
    result.tasks.push_back({.task = task.task,
                            .accuracy = task.value,
                            .bpb = task.bpb,
                            .known_bits = task.known_bits,
                            .instances = static_cast<int64_t>(task.instances.size()),
                            .mean_loops = task.mean_loops});
    result.mean_loops += task.mean_loops / static_cast<double>(report.results.size());
    if (task.task == kReasoningTask) {
      result.difficulty = by_difficulty(task);
    }
  }
  result.expected_flops = expected_forward_flops(
      system.run.model, system.run.training.sequence_length, result.mean_loops);
  return result;
}

double median_tokens_per_second(const std::filesystem::path& metrics) {
  std::vector<double> speeds;
  for_each_json_line(metrics, [&](const nlohmann::json& row, const std::string&) {
    if (row.contains("tokens_per_second")) {
      speeds.push_back(row["tokens_per_second"].get<double>());
    }
    return true;
  });
  return median(std::move(speeds));
}

TrainingCurve read_training_curve(const std::filesystem::path& metrics, int64_t seed) {
  TrainingCurve curve{.seed = seed};
  for_each_json_line(metrics, [&](const nlohmann::json& line, const std::string& where) {
    const nlohmann::ordered_json json = line;
    const JsonReader row(json, where, kMetricsForm);
    if (row.find("validation_loss") != nullptr) {
      append(row, "step", curve.step);
      append(row, "validation_loss", curve.validation_loss);
      append(row, "validation_bpb", curve.validation_bpb);
      append(row, "mean_loops", curve.mean_loops);
      append(row, "loops_by_layer", curve.loops_by_layer);
      append(row, "local_gate_by_layer", curve.local_gates);
      append(row, "global_gate_by_layer", curve.global_gates);
    }
    return true;
  });
  return curve;
}

void ensure_inside(const RunConfig& run, const std::filesystem::path& folder) {
  const auto path = folder / "inside.json";
  if (std::filesystem::exists(path)) {
    return;
  }
  const auto data = open_run_data(run);
  const auto loaded = load_inference_model(folder, choose_device(run.training.device));
  const SequentialRows rows(data.validation, run.training.sequence_length);
  const auto count = std::min(run.training.validation_rows, rows.num_rows());
  InsideOptions options;
  options.compute_dtype = run.training.forward_options().compute_dtype;
  const auto inside = measure_inside(loaded.model, loaded.tokenizer, rows.rows(0, count), options);
  write_file_atomically(path, to_json(inside).dump() + "\n");
}

std::optional<Inside> read_inside(const std::filesystem::path& folder) {
  const auto path = folder / "inside.json";
  if (!std::filesystem::exists(path)) {
    return std::nullopt;
  }
  const auto json = read_json_file<nlohmann::ordered_json>(
      path,
      {.expected = "what a model does within", .remedy = "Remove the file to measure it anew."});
  return inside_from_json(json, path.string());
}

}  // namespace loopbank
