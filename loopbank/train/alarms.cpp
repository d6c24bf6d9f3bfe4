#include "loopbank/train/alarms.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/json.h"

namespace loopbank {
namespace {

/// First step after both warm-ups.
int64_t first_counted_step(const RunConfig& config) {
  const double warmup =
      std::max(config.schedule.warmup_fraction, config.training.ponder_warmup_fraction);
  return 1 + static_cast<int64_t>(std::ceil(warmup * static_cast<double>(config.training.steps)));
}

/// `mean_loops` as people write it.
std::string spoken(std::string figure) {
  std::replace(figure.begin(), figure.end(), '_', ' ');
  return figure;
}

std::vector<int64_t> layers_in(const JsonValues& row) {
  std::vector<int64_t> layers;
  for (const auto& layer : row.list("layers")) {
    if (!layer.is_number_integer()) {
      row.refuse("layers", "a list of whole numbers");
    }
    layers.push_back(layer.get<int64_t>());
  }
  return layers;
}

}  // namespace

Alarm::Alarm(AlarmRule rule, int64_t first_step, int64_t num_layers)
    : rule_(std::move(rule)),
      first_step_(first_step),
      num_layers_(num_layers),
      places_(rule_.layers.size()) {}

std::vector<double> Alarm::follow(int64_t step, const nlohmann::json& row) {
  auto values = rule_.read(row);
  if (!std::all_of(values.begin(), values.end(), [](double x) { return std::isfinite(x); })) {
    values.clear();
  }
  counted_ += !values.empty() && step >= first_step_ ? 1 : 0;
  for (size_t i = 0; i < values.size(); ++i) {
    auto& place = places_.at(i);
    if (!rule_.is_dead(i, values[i])) {
      place = {};
      continue;
    }
    place.since = place.since > 0 ? place.since : step;
    place.rows += step >= first_step_ ? 1 : 0;
  }
  return values;
}

std::vector<size_t> Alarm::settled() const {
  std::vector<size_t> found;
  for (size_t i = 0; i < places_.size(); ++i) {
    if (places_[i].rows >= rule_.patience) {
      found.push_back(i);
    }
  }
  return found;
}

Alert Alarm::alert(int64_t step, const std::vector<size_t>& found,
                   const std::vector<double>& values) const {
  Alert alert{.kind = rule_.kind, .step = step, .is_over = found.empty(), .figure = rule_.figure};
  for (const auto i : found) {
    if (!rule_.is_whole_model) {
      alert.layers.push_back(rule_.layers[i]);
    }
    alert.since = std::max(alert.since, places_[i].since);
    alert.value += values[i] / static_cast<double>(found.size());
  }
  alert.all_layers = found.size() == places_.size();
  return alert;
}

std::string Alarm::message(const Alert& alert, const nlohmann::json& row) const {
  if (alert.is_over) {
    return fmt::format("step {}: no longer so: {}.", alert.step, alarm_words(rule_.kind));
  }
  const auto where = rule_.is_whole_model ? std::string("the whole model")
                     : alert.all_layers   ? std::string("all layers")
                                          : spoken_layers(alert.layers, num_layers_);
  const auto value = std::abs(alert.value) < 0.005 ? fmt::format("{:.2g}", alert.value)
                                                   : fmt::format("{:.2f}", alert.value);
  const auto cause = rule_.cause ? rule_.cause(row) : std::string();
  return fmt::format("step {}: {} {} since step {} in {}: {}.{}", alert.step, spoken(alert.figure),
                     value, alert.since, where, rule_.meaning,
                     cause.empty() ? "" : fmt::format(" Now {}.", cause));
}

void Alarm::observe(int64_t step, const nlohmann::json& row, std::vector<Alert>& alerts) {
  const auto values = follow(step, row);
  if (values.empty()) {
    return;
  }
  auto found = settled();
  if (found == told_) {
    return;
  }
  auto changed = alert(step, found, values);
  const bool had_all = told_.size() == places_.size();
  if (told_.empty() || changed.is_over || (changed.all_layers && !had_all)) {
    changed.message = message(changed, row);
  }
  alerts.push_back(std::move(changed));
  told_ = std::move(found);
}

void Alarm::replay(int64_t step, const nlohmann::json& row) {
  if (follow(step, row).empty()) {
    return;
  }
  // Under another patience what was told is not what would be now: what is well has been told of.
  const auto now = settled();
  std::vector<size_t> still;
  std::set_intersection(told_.begin(), told_.end(), now.begin(), now.end(),
                        std::back_inserter(still));
  told_ = std::move(still);
}

void Alarm::replay_alert(const std::vector<int64_t>& layers, bool all_layers) {
  told_.clear();
  for (size_t i = 0; i < rule_.layers.size(); ++i) {
    const bool listed = std::find(layers.begin(), layers.end(), rule_.layers[i]) != layers.end();
    if (listed || (rule_.is_whole_model && all_layers)) {
      told_.push_back(i);
    }
  }
}

std::string spoken_layers(const std::vector<int64_t>& layers, int64_t num_layers) {
  std::vector<int64_t> from_one;
  for (const auto layer : layers) {
    from_one.push_back(layer + 1);
  }
  return fmt::format("layer{} {} of {}", from_one.size() > 1 ? "s" : "", fmt::join(from_one, ", "),
                     num_layers);
}

Alarms::Alarms(const RunConfig& config) {
  for (auto& rule : alarm_rules(config)) {
    if (rule.patience > 0 && !rule.layers.empty()) {
      alarms_.emplace_back(std::move(rule), first_counted_step(config),
                           config.model.num_hidden_layers);
    }
  }
}

std::vector<Alert> Alarms::observe(const nlohmann::ordered_json& row) {
  std::vector<Alert> alerts;
  if (!alarms_.empty()) {
    const nlohmann::json plain = row;
    const auto step = plain.at("step").get<int64_t>();
    for (auto& alarm : alarms_) {
      alarm.observe(step, plain, alerts);
    }
  }
  return alerts;
}

void Alarms::replay(const std::filesystem::path& metrics) {
  if (alarms_.empty() || !std::filesystem::exists(metrics)) {
    return;
  }
  std::istringstream lines(read_file(metrics, ErrorCode::kCheckpoint));
  const JsonForm form{.code = ErrorCode::kCheckpoint, .expected = "a row of metrics"};
  const auto next_line = [&](std::string& line) {
    return static_cast<bool>(std::getline(lines, line));
  };
  const auto take = [&](const nlohmann::json& json, const std::string& where) {
    const JsonValues row(json, where, form);
    const auto step = row.integer("step");
    for (auto& alarm : alarms_) {
      if (!row.has("alarm")) {
        alarm.replay(step, json);
      } else if (row.text("alarm") == alarm.kind()) {
        alarm.replay_alert(layers_in(row), row.flag("all_layers"));
      }
    }
    return true;
  };
  for_each_json_line(next_line, metrics.string(), form, take);
}

bool Alarms::have_watched() const {
  return !alarms_.empty() && std::all_of(alarms_.begin(), alarms_.end(),
                                         [](const Alarm& alarm) { return alarm.has_watched(); });
}

nlohmann::ordered_json to_json(const Alert& alert) {
  nlohmann::ordered_json row = {{"step", alert.step}, {"alarm", alert.kind}};
  if (!alert.is_over) {
    row["since"] = alert.since;
  }
  row["layers"] = alert.layers;
  row["all_layers"] = alert.all_layers;
  if (alert.is_over) {
    row["over"] = true;
  } else {
    row[alert.figure] = alert.value;
  }
  return row;
}

}  // namespace loopbank
