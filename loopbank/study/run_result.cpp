#include "loopbank/study/run_result.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "loopbank/model/cost.h"
#include "loopbank/study/plan.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

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

Json score_to_json(const Score& score) {
  return {{"value", score.value}, {"standard_error", score.error}};
}

Score score_from_json(const nlohmann::json& json) {
  return {.value = json.at("value"), .error = json.at("standard_error")};
}

}  // namespace

Score RunResult::score(const Column& column) const {
  Score mean;
  double squares = 0.0;
  for (const auto& name : column.tasks) {
    const auto found = std::find_if(tasks.begin(), tasks.end(),
                                    [&](const TaskScore& task) { return task.task == name; });
    if (found == tasks.end()) {
      fail(ErrorCode::kData,
           "{}, seed {}: expected a score for {}, got none. Score it anew: remove "
           "its result.json.",
           system, seed, name);
    }
    const auto& score = column.is_bpb ? found->bpb : found->accuracy;
    mean.value += score.value;
    squares += score.error * score.error;
  }
  const auto count = static_cast<double>(column.tasks.size());
  return {.value = mean.value / count, .error = std::sqrt(squares) / count};
}

RunResult make_run_result(const System& system, const TrainResult& trained,
                          const EvalReport& report, double tokens_per_second) {
  const auto plan = make_plan(system.run);
  RunResult result{.system = system.name,
                   .seed = system.run.training.seed,
                   .parameters = plan.cost.parameters.total(),
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
                            .accuracy = {task.value.mean, task.value.standard_error},
                            .bpb = {task.bpb.mean, task.bpb.standard_error},
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

Json to_json(const RunResult& result) {
  auto tasks = Json::array();
  for (const auto& task : result.tasks) {
    tasks.push_back({{"task", task.task},
                     {"accuracy", score_to_json(task.accuracy)},
                     {"bpb", score_to_json(task.bpb)},
                     {"instances", task.instances},
                     {"mean_loops", task.mean_loops}});
  }
  auto difficulty = Json::array();
  for (const auto& cell : result.difficulty) {
    difficulty.push_back({{"kind", cell.kind},
                          {"difficulty", cell.difficulty},
                          {"accuracy", cell.accuracy},
                          {"bpb", cell.bpb},
                          {"instances", cell.instances}});
  }
  return {{"system", result.system},
          {"seed", result.seed},
          {"parameters", result.parameters},
          {"flops_per_token", result.forward_flops},
          {"training_flops_per_token", result.training_flops},
          {"expected_flops_per_token", result.expected_flops},
          {"tasks", tasks},
          {"difficulty", difficulty},
          {"mean_loops", result.mean_loops},
          {"validation_loss", result.validation_loss},
          {"validation_bpb", result.validation_bpb},
          {"tokens_per_second", result.tokens_per_second},
          {"steps", result.steps},
          {"tokens", result.tokens},
          {"seconds", result.seconds},
          {"evaluation_seconds", result.evaluation_seconds}};
}

RunResult run_result_from_json(const nlohmann::json& json, const std::string& where) {
  try {
    RunResult result;
    json.at("system").get_to(result.system);
    json.at("seed").get_to(result.seed);
    json.at("parameters").get_to(result.parameters);
    json.at("flops_per_token").get_to(result.forward_flops);
    json.at("training_flops_per_token").get_to(result.training_flops);
    json.at("expected_flops_per_token").get_to(result.expected_flops);
    for (const auto& task : json.at("tasks")) {
      result.tasks.push_back({.task = task.at("task"),
                              .accuracy = score_from_json(task.at("accuracy")),
                              .bpb = score_from_json(task.at("bpb")),
                              .instances = task.at("instances"),
                              .mean_loops = task.at("mean_loops")});
    }
    for (const auto& cell : json.at("difficulty")) {
      result.difficulty.push_back({.kind = cell.at("kind"),
                                   .difficulty = cell.at("difficulty"),
                                   .accuracy = cell.at("accuracy"),
                                   .bpb = cell.at("bpb"),
                                   .instances = cell.at("instances")});
    }
    json.at("mean_loops").get_to(result.mean_loops);
    json.at("validation_loss").get_to(result.validation_loss);
    json.at("validation_bpb").get_to(result.validation_bpb);
    json.at("tokens_per_second").get_to(result.tokens_per_second);
    json.at("steps").get_to(result.steps);
    json.at("tokens").get_to(result.tokens);
    json.at("seconds").get_to(result.seconds);
    json.at("evaluation_seconds").get_to(result.evaluation_seconds);
    return result;
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::kData,
         "{}: expected the result of a run, got {}. Remove the file to score that run anew.", where,
         error.what());
  }
}

}  // namespace loopbank
