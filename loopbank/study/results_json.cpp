#include "loopbank/study/results_json.h"

#include <nlohmann/json.hpp>

#include "loopbank/dissect/thinking_members.h"
#include "loopbank/study/comparison.h"
#include "loopbank/study/comparison_json.h"
#include "loopbank/study/comparison_members.h"
#include "loopbank/study/run_result_members.h"
#include "loopbank/support/json_members.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

const MembersForm kResultsForm = {.expected = "the results of a study"};
const MembersForm kRunForm = {.expected = "the result of a run",
                              .remedy = "Remove the file to score that run anew.",
                              .all = true};

void measure_members(JsonWriter& by, const Column& column) {
  by("metric", name_of(column.measure));
  by("lower_is_better", column.lower_is_better());
  if (column.measure == Measure::kBitsAParameter) {
    by("facts", column.facts);
  }
}

void measure_members(const JsonReader& by, Column& column) {
  std::string metric;
  by("metric", metric);
  for (const auto measure : {Measure::kBpb, Measure::kBitsAParameter}) {
    column.measure = metric == name_of(measure) ? measure : column.measure;
  }
  by.unless_empty("facts", column.facts);
}

}  // namespace

// The keys of each object; out of the unnamed namespace, where JsonWriter and JsonReader find them.

void members(auto& by, Either<ScoreSummary> auto& score) {
  by("mean", score.mean);
  by("spread", score.spread);
  by("standard_error", score.error);
  by("by_seed", score.by_seed);
}

void members(auto& by, Either<TaskSummary> auto& task) {
  by("task", task.task);
  by("accuracy", task.accuracy);
  by("bpb", task.bpb);
  by("instances", task.instances);
}

void members(auto& by, Either<MatchResidual> auto& match) {
  by("system", match.system);
  by("by", match.by);
  by("parameters", match.parameters);
  by("flops", match.flops);
  by("seconds", match.seconds);
}

void members(auto& by, Either<ChosenSteps> auto& chosen) {
  by("limit_seconds", chosen.limit_seconds);
  by("steps", chosen.steps);
  by("steps_of_config", chosen.steps_of_config);
  by("left_out", chosen.left_out);
}

/// But for the parts.
void members(auto& by, Either<StudyResult> auto& result) {
  by("scale", result.scale);
  by("command", result.command);
  by("machine", result.machine);
  by("date", result.date);
  by("threads", result.threads);
  by("finished", result.finished);
  by.unless_empty("title", result.title);
  by.object("time_plan", result.chosen_steps);
}

/// What does not hang on the part's columns.
void members(auto& by, Either<SystemResult> auto& row) {
  by("name", row.name);
  by("label", row.label);
  by("group", row.group);
  by("family", row.family);
  by("layers", row.layers);
  by("hidden_size", row.hidden_size);
  by("intermediate_size", row.intermediate_size);
  by("loops", row.loops);
  by("local_slots", row.local_slots);
  by("global_slots", row.global_slots);
  by("ponder_weight", row.ponder_weight);
  by("router_bias", row.router_bias);
  by("loop_scale_init", row.loop_scale_init);
  by("parameters", row.parameters);
  by("embedding_parameters", row.embedding_parameters);
  by("flops_per_token", row.forward_flops);
  by("training_flops_per_token", row.training_flops);
  by("expected_flops_per_token", row.expected_flops);
  by.unless_empty("expected_flops_by_seed", row.expected_flops_by_seed);
  by("tokens_per_second", row.tokens_per_second);
  by("seconds", row.seconds);
  by("evaluation_seconds", row.evaluation_seconds);
  by("steps", row.steps);
  by("tokens", row.tokens);
  by("mean_loops", row.mean_loops);
  by("validation_loss", row.validation_loss);
  by("validation_bpb", row.validation_bpb);
  by("seeds", row.seeds);
}

void members(auto& by, Either<Claim> auto& claim) {
  by("question", claim.question);
  by("text", claim.text);
  by("column", claim.column);
  by("better", claim.better);
  by("worse", claim.worse);
  by("ours", claim.ours);
  by("paper", claim.paper);
  by.unless_empty("source", claim.source);
}

void members(auto& by, Either<Column> auto& column) {
  by("key", column.key);
  by("title", column.title);
  by("kind", column.kind);
  measure_members(by, column);
  by.unless_empty("paper_key", column.paper_key);
  by.unless_empty("paper_title", column.paper_title);
  by("chance", column.guessing);
}

void members(auto& by, Either<DifficultyScore> auto& cell) {
  by("kind", cell.kind);
  by("difficulty", cell.difficulty);
  by("accuracy", cell.accuracy);
  by("bpb", cell.bpb);
  by("instances", cell.instances);
}

void members(auto& by, Either<RunResult> auto& run) {
  by("system", run.system);
  by("seed", run.seed);
  by("parameters", run.parameters);
  by("embedding_parameters", run.embedding_parameters);
  by("flops_per_token", run.forward_flops);
  by("training_flops_per_token", run.training_flops);
  by("expected_flops_per_token", run.expected_flops);
  by.list("tasks", run.tasks);
  by.list("difficulty", run.difficulty);
  by("mean_loops", run.mean_loops);
  by("validation_loss", run.validation_loss);
  by("validation_bpb", run.validation_bpb);
  by("tokens_per_second", run.tokens_per_second);
  by("steps", run.steps);
  by("tokens", run.tokens);
  by("seconds", run.seconds);
  by("evaluation_seconds", run.evaluation_seconds);
}

void members(auto& by, Either<TrainingCurve> auto& curve) {
  by.unless_empty("step", curve.step);
  by.unless_empty("validation_loss", curve.validation_loss);
  by.unless_empty("validation_bpb", curve.validation_bpb);
  by.unless_empty("mean_loops", curve.mean_loops);
  by.unless_empty("loops_by_layer", curve.loops_by_layer);
  by.unless_empty("local_gates", curve.local_gates);
  by.unless_empty("global_gates", curve.global_gates);
  by("seed", curve.seed);
}

void members(auto& by, Either<ScoreCurve> auto& curve) {
  by("seed", curve.seed);
  by("step", curve.step);
  by("tokens", curve.tokens);
  by("scores", curve.scores);
}

void members(auto& by, Either<RunAlarm> auto& alarm) {
  by("seed", alarm.seed);
  by("step", alarm.step);
  by("kind", alarm.kind);
  by("layers", alarm.layers);
  by("message", alarm.message);
}

// What is no plain member

namespace {

/// What each system has a list of, under its name: {"score_curves": {"loop3": [...]}}. Absent where no
/// system has any.
void write_lists(const PartResult& part, Json& json) {
  const auto write = [&json](const char* key, const SystemResult& row, const auto& items) {
    for (const auto& item : items) {
      json[key][row.name].push_back(JsonWriter::write(item));
    }
  };
  for (const auto& row : part.systems) {
    write("score_curves", row, row.score_curves);
    write("thinking", row, row.thinking);
    write("alarms", row, row.alarms);
    if (!row.watched_seeds.empty()) {
      json["watched_seeds"][row.name] = row.watched_seeds;
    }
  }
}

void read_lists(const JsonReader& from, SystemResult& row) {
  const auto read = [&](const char* key, auto& items) {
    if (from.find(key) != nullptr) {
      from.at(key).list(row.name.c_str(), items);
    }
  };
  read("score_curves", row.score_curves);
  read("thinking", row.thinking);
  read("alarms", row.alarms);
  if (from.find("watched_seeds") != nullptr) {
    const auto watched = from.at("watched_seeds");
    if (watched.find(row.name.c_str()) != nullptr) {
      watched(row.name.c_str(), row.watched_seeds);
    }
  }
}

Json json_of(const SystemResult& row, const PartResult& part) {
  auto by = JsonWriter{.json = JsonWriter::write(row)};
  by.json["scores"] = Json::object();
  by.list("tasks", row.tasks);
  by.list("difficulty", row.difficulty);
  by("mean_loops_spread", row.mean_loops_spread);
  for (const auto& column : part.columns) {
    if (const auto score = row.scores.find(column.key); score != row.scores.end()) {
      by.json["scores"][column.key] = JsonWriter::write(score->second);
      by.json[column.key] = score->second.mean;  // flat, for scripts
    }
  }
  if (!row.paper.empty()) {
    by.json["paper"] = row.paper;
  }
  by.object("matches", row.matches);
  for (const auto& [pair, comparison] : part.comparisons) {
    if (pair.system == row.name && !comparison.estimated) {
      by.json["against"][pair.other][pair.column] = to_json(comparison);
    }
  }
  return std::move(by.json);
}

void read_system(const JsonReader& from, PartResult& part) {
  auto& row = part.systems.emplace_back();
  row.group = "paper";
  from.read(row);
  row.label = row.label.empty() ? row.name : row.label;
  from.list("tasks", row.tasks);
  from.list("difficulty", row.difficulty);
  from("mean_loops_spread", row.mean_loops_spread);
  from.each("scores", [&](const std::string& column, const JsonReader& score) {
    score.read(row.scores[column]);
  });
  from("paper", row.paper);
  from.object("matches", row.matches);
  from.each("against", [&](const std::string& other, const JsonReader& columns) {
    for (const auto& [column, comparison] : columns.json().items()) {
      JsonReader(comparison, columns.where() + "." + column, kResultsForm)
          .read(part.comparisons[{row.name, other, column}]);
    }
  });
}

Json json_of(const Claim& claim, const SystemComparison& comparison) {
  auto by = JsonWriter{.json = JsonWriter::write(claim)};
  members(by, comparison.decisive);
  by("adjusted_p", comparison.adjusted_p);
  by("verdict", claim_verdict(comparison.verdict));
  return std::move(by.json);
}

Json json_of(const PartResult& part) {
  JsonWriter by;
  by("name", part.name);
  by("title", part.title);
  by.unless_empty("init", part.init);
  by("seeds", part.seeds);
  by.json["data"] = part.data.empty() ? Json() : parse_json<Json>(part.data, part.name + "'s data");
  by("settings", part.settings);
  by.list("columns", part.columns);
  by.object("noise", part.noise.source.empty() ? std::nullopt : std::optional(part.noise));
  by.json["systems"] = Json::array();
  by.json["claims"] = Json::array();
  for (const auto& claim : part.claims) {
    by.json["claims"].push_back(json_of(claim, part.comparison_of(claim)));
  }
  by.json["curves"] = Json::object();
  by.json["inside"] = Json::object();
  for (const auto& row : part.systems) {
    by.json["systems"].push_back(json_of(row, part));
    for (const auto& curve : row.curves) {
      by.json["curves"][row.name].push_back(JsonWriter::write(curve));
    }
    if (row.inside) {
      by.json["inside"][row.name] = to_json(*row.inside);
    }
    if (row.exits) {
      by.json["exits"][row.name] = to_json(*row.exits);
    }
  }
  write_lists(part, by.json);
  return std::move(by.json);
}

void read_part(const JsonReader& from, PartResult& part) {
  from("name", part.name);
  from("title", part.title);
  from.unless_empty("init", part.init);
  from("seeds", part.seeds);
  from("settings", part.settings);
  part.title = part.title.empty() ? part.name : part.title;
  if (const auto* data = from.find("data"); data != nullptr && !data->is_null()) {
    part.data = data->dump(2, ' ', false, Json::error_handler_t::replace);
  }
  from.list("columns", part.columns);
  from.object("noise", part.noise);
  from.each("systems", [&](const std::string&, const JsonReader& row) { read_system(row, part); });
  from.list("claims", part.claims);
  for (auto& row : part.systems) {
    read_lists(from, row);
    if (from.find("curves") != nullptr) {
      from.at("curves").list(row.name.c_str(), row.curves);
    }
    const auto* inside = from.find("inside");
    if (inside != nullptr && inside->contains(row.name)) {
      row.inside = inside_from_json(inside->at(row.name), from.where() + ".inside." + row.name);
    }
    const auto* exits = from.find("exits");
    if (exits != nullptr && exits->contains(row.name)) {
      row.exits = system_exits_from_json(exits->at(row.name), part.columns,
                                         from.where() + ".exits." + row.name);
    }
  }
  complete_comparisons(part);
}

}  // namespace

Json to_json(const RunResult& run) {
  return JsonWriter::write(run);
}

RunResult run_result_from_json(const Json& json, const std::string& where) {
  RunResult run;
  JsonReader(json, where, kRunForm).read(run);
  return run;
}

Json to_json(const StudyResult& result) {
  auto json = JsonWriter::write(result);
  auto parts = Json::array();
  for (const auto& part : result.parts) {
    parts.push_back(json_of(part));
  }
  json["systems"] = parts.empty() ? Json::array() : parts.front()["systems"];
  json["parts"] = std::move(parts);
  return json;
}

StudyResult study_result_from_json(const Json& json, const std::string& where) {
  StudyResult result;
  const JsonReader from(json, where, kResultsForm);
  from.read(result);
  from.each("parts", [&](const std::string&, const JsonReader& part) {
    read_part(part, result.parts.emplace_back());
  });
  return result;
}

}  // namespace loopbank
