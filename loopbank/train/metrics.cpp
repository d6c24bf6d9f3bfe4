#include "loopbank/train/metrics.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/json.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

/// JSON has no NaN and no infinity.
Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

Json numbers(const std::vector<double>& values) {
  auto list = Json::array();
  for (const auto value : values) {
    list.push_back(number(value));
  }
  return list;
}

/// The step of a row; none for a line that is no row.
std::optional<int64_t> step_of_row(const std::string& line) {
  try {
    const auto row = parse_json_line(line, "row");
    return JsonValues(row, "row").integer("step");
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// The rows up to a step, as they stand. A torn line ends the file: nothing was written behind it.
std::string rows_until(const std::filesystem::path& path, int64_t last_step) {
  const auto text = read_file(path, ErrorCode::kCheckpoint);
  std::string kept;
  size_t begin = 0;
  while (begin < text.size()) {
    const auto end = text.find('\n', begin);
    if (end == std::string::npos) {
      break;
    }
    const auto line = text.substr(begin, end + 1 - begin);
    const auto step = step_of_row(line);
    if (!step) {
      break;
    }
    if (*step <= last_step) {
      kept += line;
    }
    begin = end + 1;
  }
  return kept;
}

/// The rows of a text, a line each.
std::vector<Json> rows_in(const std::string& text) {
  std::vector<Json> rows;
  for (size_t begin = 0; begin < text.size();) {
    const auto end = text.find('\n', begin);
    rows.push_back(Json::parse(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return rows;
}

}  // namespace

Json to_json(const StepMetrics& metrics) {
  Json row = {{"step", metrics.step},
              {"loss", number(metrics.loss)},
              {"tokens", metrics.tokens},
              {"tokens_per_second", number(metrics.tokens_per_second)},
              {"mean_loops", number(metrics.mean_loops)},
              {"learning_rate", number(metrics.learning_rate)},
              {"gradient_norm", number(metrics.gradient_norm)},
              {"ponder", number(metrics.ponder)}};
  if (metrics.ponder_weight) {
    row["ponder_weight"] = *metrics.ponder_weight;
  }
  if (!metrics.loops_by_layer.empty()) {
    row["loops_by_layer"] = numbers(metrics.loops_by_layer);
  }
  if (metrics.skipped) {
    row["skipped"] = true;
  }
  return row;
}

Json to_json(const ValidationMetrics& metrics) {
  Json row = {{"step", metrics.step},
              {"validation_loss", number(metrics.loss)},
              {"validation_bpb", number(metrics.bpb)},
              {"mean_loops", number(metrics.mean_loops)}};
  const auto add_list = [&row](const char* key, const std::vector<double>& values) {
    if (!values.empty()) {
      row[key] = numbers(values);
    }
  };
  if (!metrics.loss_by_loops.empty()) {
    auto& by_loops = row["validation_loss_by_loops"] = Json::object();
    for (const auto& [loops, loss] : metrics.loss_by_loops) {
      by_loops[std::to_string(loops)] = number(loss);
    }
  }
  add_list("loops_by_layer", metrics.loops_by_layer);
  if (metrics.loss_without_memory) {
    row["validation_loss_without_memory"] = number(*metrics.loss_without_memory);
  }
  add_list("local_gate_by_layer", metrics.local_gates);
  add_list("global_gate_by_layer", metrics.global_gates);
  add_list("local_focus_by_layer", metrics.parts.local_focus);
  add_list("global_focus_by_layer", metrics.parts.global_focus);
  add_list("loop_change_by_layer", metrics.parts.loop_changes);
  add_list("router_gradient_by_layer", metrics.parts.router_gradients);
  if (!metrics.loop_scales.empty()) {
    auto& by_layer = row["loop_scale_by_layer"] = Json::array();
    for (const auto& of_layer : metrics.loop_scales) {
      by_layer.push_back(numbers(of_layer));
    }
  }
  return row;
}

Json to_json(const EvaluationMetrics& metrics) {
  return {{"step", metrics.step},           {metrics.is_suite ? "suite" : "task", metrics.task},
          {"metric", metrics.metric},       {"value", number(metrics.value)},
          {"bpb", number(metrics.bpb)},     {"instances", metrics.instances},
          {"max_loops", metrics.max_loops}, {"mean_loops", number(metrics.mean_loops)},
          {"seconds", metrics.seconds}};
}

MetricsLog::MetricsLog(const std::filesystem::path& path, int64_t last_step, bool writes_events) {
  std::string kept;
  if (std::filesystem::exists(path)) {
    kept = rows_until(path, last_step);
    write_file_atomically(path, kept, ErrorCode::kCheckpoint);
  }
  rows_.emplace(path);
  if (writes_events) {
    events_.emplace(path.parent_path(), rows_in(kept), last_step);
  }
}

void MetricsLog::write(const Json& row, const std::vector<EventHistogram>& histograms) {
  rows_->write(row.dump() + "\n");
  if (events_) {
    events_->write(row, histograms);
  }
}

void MetricsLog::sync() {
  rows_->sync();
  if (events_) {
    events_->sync();
  }
}

}  // namespace loopbank
