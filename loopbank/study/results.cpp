#include "loopbank/study/results.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "loopbank/model/cost.h"
#include "loopbank/study/claims.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

/// The systems that every other one is tested against, where a study has them: the plain
/// transformers of equal size, FLOPs and time, loops without memory, and one loop with a learned
/// scale.
constexpr std::array<const char*, 5> kYardsticks = {"isopar", "isoflop", "isotime", "loop3",
                                                    "loop1"};

std::string family_of(const ModelConfig& model) {
  return model.has_memory() ? "memory" : model.most_loops() > 0 ? "loops" : "dense";
}

ScoreSummary summarize(const std::vector<double>& values, const std::vector<double>& errors) {
  ScoreSummary summary{.mean = 0.0, .spread = {}, .error = 0.0, .by_seed = values};
  const auto count = static_cast<double>(values.size());
  double squares = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    summary.mean += values[i] / count;
    squares += errors[i] * errors[i] / count;
  }
  summary.error = std::sqrt(squares);
  if (values.size() > 1) {
    double deviations = 0.0;
    for (const double value : values) {
      deviations += (value - summary.mean) * (value - summary.mean);
    }
    summary.spread = std::sqrt(deviations / (count - 1));
  }
  return summary;
}

Json summary_to_json(const ScoreSummary& summary) {
  Json json = {{"mean", summary.mean}};
  if (summary.spread) {
    json["spread"] = *summary.spread;
  }
  json["standard_error"] = summary.error;
  json["by_seed"] = summary.by_seed;
  return json;
}

Json difference_to_json(const Difference& difference) {
  return {{"difference", difference.difference},
          {"low", difference.low},
          {"high", difference.high},
          {"p", difference.p}};
}

Json paired_to_json(const PairedScores& paired) {
  auto json = difference_to_json(paired.questions);
  if (paired.seeds) {
    json["seeds"] = difference_to_json(*paired.seeds);
  }
  return json;
}

/// Scores of every task and cell of difficulty, means over the seeds.
Json tasks_to_json(const SystemRow& row) {
  auto json = Json::array();
  for (size_t i = 0; i < row.runs.front().tasks.size(); ++i) {
    double accuracy = 0.0;
    double bpb = 0.0;
    for (const auto& run : row.runs) {
      accuracy += run.tasks.at(i).accuracy.value / static_cast<double>(row.runs.size());
      bpb += run.tasks.at(i).bpb.value / static_cast<double>(row.runs.size());
    }
    const auto& task = row.runs.front().tasks[i];
    json.push_back(
        {{"task", task.task}, {"accuracy", accuracy}, {"bpb", bpb}, {"instances", task.instances}});
  }
  return json;
}

Json difficulty_to_json(const SystemRow& row) {
  std::map<std::pair<std::string, int64_t>, DifficultyScore> cells;
  for (const auto& run : row.runs) {
    for (const auto& score : run.difficulty) {
      auto& cell = cells[{score.kind, score.difficulty}];
      const auto count = static_cast<double>(score.instances);
      cell.accuracy += score.accuracy * count;
      cell.bpb += score.bpb * count;
      cell.instances += score.instances;
    }
  }
  auto json = Json::array();
  for (const auto& [key, cell] : cells) {
    const auto count = static_cast<double>(cell.instances);
    json.push_back({{"kind", key.first},
                    {"difficulty", key.second},
                    {"accuracy", cell.accuracy / count},
                    {"bpb", cell.bpb / count},
                    {"instances", cell.instances}});
  }
  return json;
}

/// How far a derived baseline is from what it matches, seconds only where both are done.
Json match_to_json(const SystemRow& row, const PartResult& part) {
  const auto& match = *row.system.match;
  Json json = {{"system", match.system},
               {"by", match.by},
               {"parameters", match.baseline.parameters.residual()},
               {"flops", match.baseline.forward_flops.residual()}};
  if (const auto seconds = part.seconds_residual(row)) {
    json["seconds"] = *seconds;
  }
  return json;
}

Json row_to_json(const SystemRow& row, const PartResult& part) {
  const auto& system = row.system;
  const auto& model = system.run.model;
  const auto& first = row.runs.front();
  std::vector<double> loops;
  auto seeds = Json::array();
  for (const auto& run : row.runs) {
    loops.push_back(run.mean_loops);
    seeds.push_back(run.seed);
  }
  const auto mean_loops = summarize(loops, std::vector<double>(loops.size()));
  Json json = {{"name", system.name},
               {"label", system.label},
               {"group", system.group},
               {"family", family_of(model)},
               {"layers", model.num_hidden_layers},
               {"hidden_size", model.hidden_size},
               {"intermediate_size", model.intermediate_size},
               {"loops", model.most_loops()},
               {"local_slots", model.local_memory_slots},
               {"global_slots", model.global_memory_slots},
               {"ponder_weight", model.ponder_weight},
               {"parameters", first.parameters},
               {"flops_per_token", first.forward_flops},
               {"training_flops_per_token", first.training_flops},
               {"expected_flops_per_token", row.mean(&RunResult::expected_flops)},
               {"tokens_per_second", row.mean(&RunResult::tokens_per_second)},
               {"seconds", row.mean(&RunResult::seconds)},
               {"evaluation_seconds", row.mean(&RunResult::evaluation_seconds)},
               {"steps", first.steps},
               {"tokens", first.tokens},
               {"mean_loops", mean_loops.mean},
               {"validation_loss", row.mean(&RunResult::validation_loss)},
               {"validation_bpb", row.mean(&RunResult::validation_bpb)},
               {"seeds", seeds},
               {"scores", Json::object()},
               {"tasks", tasks_to_json(row)},
               {"difficulty", difficulty_to_json(row)}};
  if (mean_loops.spread) {
    json["mean_loops_spread"] = *mean_loops.spread;
  }
  for (const auto& column : part.columns) {
    const auto summary = row.score(column);
    json["scores"][column.key] = summary_to_json(summary);
    json[column.key] = summary.mean;  // flat, for scripts
  }
  if (system.paper) {
    json["paper"] = to_json(*system.paper);
  }
  if (system.match) {
    json["matches"] = match_to_json(row, part);
  }
  for (const auto& [other, columns] : row.against) {
    for (const auto& [key, paired] : columns) {
      json["against"][other][key] = paired_to_json(paired);
    }
  }
  return json;
}

Json column_to_json(const Column& column) {
  Json json = {{"key", column.key},
               {"title", column.title},
               {"kind", column.kind},
               {"metric", column.is_bpb ? "bpb" : "accuracy"},
               {"lower_is_better", column.is_bpb}};
  if (column.paper != nullptr) {
    json["paper_key"] = column.paper_key;
    json["paper_title"] = column.paper_title;
  }
  if (column.chance) {
    json["chance"] = *column.chance;
  }
  return json;
}

Json claim_to_json(const Claim& claim) {
  Json json = {{"question", claim.question}, {"text", claim.text},   {"column", claim.column},
               {"better", claim.better},     {"worse", claim.worse}, {"ours", claim.ours},
               {"paper", claim.paper}};
  json.update(difference_to_json(claim.difference));
  json["verdict"] = claim.verdict;
  return json;
}

}  // namespace

ScoreSummary SystemRow::score(const Column& column) const {
  std::vector<double> values;
  std::vector<double> errors;
  for (const auto& run : runs) {
    const auto score = run.score(column);
    values.push_back(score.value);
    errors.push_back(score.error);
  }
  return summarize(values, errors);
}

double SystemRow::mean(double RunResult::*figure) const {
  double sum = 0.0;
  for (const auto& run : runs) {
    sum += run.*figure;
  }
  return sum / static_cast<double>(runs.size());
}

const SystemRow* PartResult::find(std::string_view wanted) const {
  const auto found = std::find_if(rows.begin(), rows.end(),
                                  [&](const SystemRow& row) { return row.system.name == wanted; });
  return found == rows.end() ? nullptr : &*found;
}

std::optional<double> PartResult::seconds_residual(const SystemRow& row) const {
  const auto* target = row.system.match ? find(row.system.match->system) : nullptr;
  return target == nullptr
             ? std::nullopt
             : std::optional(row.mean(&RunResult::seconds) / target->mean(&RunResult::seconds) -
                             1.0);
}

std::pair<std::vector<std::filesystem::path>, std::vector<std::filesystem::path>> common_seeds(
    const SystemRow& a, const SystemRow& b) {
  std::pair<std::vector<std::filesystem::path>, std::vector<std::filesystem::path>> folders;
  for (size_t i = 0; i < a.runs.size(); ++i) {
    for (size_t j = 0; j < b.runs.size(); ++j) {
      if (a.runs[i].seed == b.runs[j].seed) {
        folders.first.push_back(a.scores[i]);
        folders.second.push_back(b.scores[j]);
      }
    }
  }
  return folders;
}

void compare_systems(PartResult& part) {
  ScoreFolders folders;
  for (auto& row : part.rows) {
    for (const char* name : kYardsticks) {
      const auto* yardstick = part.find(name);
      if (yardstick == nullptr || yardstick == &row) {
        continue;
      }
      const auto common = common_seeds(*yardstick, row);
      for (const auto& column : part.columns) {
        if (!common.first.empty()) {
          row.against[name].emplace(column.key,
                                    compare_runs(common.first, common.second, column, folders));
        }
      }
    }
  }
  part.claims = check_claims(part, folders);
}

Json to_json(const PaperScores& scores) {
  return {{"commonsense_accuracy", scores.commonsense_accuracy},
          {"commonsense_bpb", scores.commonsense_bpb},
          {"math_bpb", scores.math_bpb}};
}

Json to_json(const PartResult& part) {
  Json json = {
      {"name", part.name},         {"title", part.title},
      {"seeds", part.seeds},       {"data", part.data.empty() ? Json() : Json::parse(part.data)},
      {"settings", part.settings}, {"columns", Json::array()},
      {"systems", Json::array()},  {"claims", Json::array()}};
  for (const auto& column : part.columns) {
    json["columns"].push_back(column_to_json(column));
  }
  for (const auto& row : part.rows) {
    json["systems"].push_back(row_to_json(row, part));
  }
  for (const auto& claim : part.claims) {
    json["claims"].push_back(claim_to_json(claim));
  }
  return json;
}

Json to_json(const StudyResult& result) {
  Json json = {{"scale", result.scale}, {"command", result.command}, {"machine", result.machine},
               {"date", result.date},   {"threads", result.threads}, {"finished", result.finished}};
  if (!result.title.empty()) {
    json["title"] = result.title;
  }
  if (result.chosen_steps) {
    json["time_plan"] = to_json(*result.chosen_steps);
  }
  auto parts = Json::array();
  for (const auto& part : result.parts) {
    parts.push_back(to_json(part));
  }
  json["systems"] = parts.empty() ? Json::array() : parts.front()["systems"];
  json["parts"] = std::move(parts);
  return json;
}

}  // namespace loopbank
