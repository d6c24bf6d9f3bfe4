#include "loopbank/train/halting_alarm.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/json.h"

namespace loopbank {
namespace {

using Kind = HaltingAlert::Kind;

constexpr const char* kAtOne = "loops_at_one";
constexpr const char* kAtMost = "loops_at_most";

bool is_at(Kind kind, double loops, int64_t most) {
  const double share = (loops - 1.0) / static_cast<double>(most - 1);
  return kind == Kind::kLoopsAtOne ? share <= kHaltingTolerance : share >= 1.0 - kHaltingTolerance;
}

const char* name_of(Kind kind) {
  return kind == Kind::kLoopsAtOne ? kAtOne : kAtMost;
}

/// First step after both warm-ups.
int64_t first_counted_step(const RunConfig& config) {
  const double warmup =
      std::max(config.schedule.warmup_fraction, config.training.ponder_warmup_fraction);
  return 1 + static_cast<int64_t>(std::ceil(warmup * static_cast<double>(config.training.steps)));
}

/// The mean loops of a row, which holds null for what was not finite.
std::vector<double> loops_of(const JsonValues& row) {
  std::vector<double> loops;
  for (const auto& value : row.list("loops_by_layer")) {
    loops.push_back(value.is_number() ? value.get<double>()
                                      : std::numeric_limits<double>::quiet_NaN());
  }
  return loops;
}

}  // namespace

HaltingAlarm::HaltingAlarm(const RunConfig& config)
    : patience_(config.training.halting_alarm_steps), first_step_(first_counted_step(config)) {
  for (int64_t l = 0; l < config.model.num_hidden_layers; ++l) {
    if (config.model.loops(l) > 1) {
      watched_.push_back(l);
      most_loops_.push_back(config.model.loops(l));
    }
  }
  for (const auto kind : {Kind::kLoopsAtOne, Kind::kLoopsAtMost}) {
    ends_.push_back({.kind = kind, .since = std::vector<int64_t>(watched_.size(), 0)});
  }
}

void HaltingAlarm::follow(End& end, int64_t step, const std::vector<double>& loops_by_layer) const {
  for (size_t i = 0; i < watched_.size(); ++i) {
    const double loops = loops_by_layer.at(static_cast<size_t>(watched_[i]));
    const bool is_there = is_at(end.kind, loops, most_loops_[i]);
    end.since[i] = !is_there ? 0 : end.since[i] > 0 ? end.since[i] : step;
  }
}

std::vector<size_t> HaltingAlarm::settled(const End& end, int64_t step) const {
  std::vector<size_t> found;
  for (size_t i = 0; i < watched_.size(); ++i) {
    if (end.since[i] > 0 && step - std::max(end.since[i], first_step_) + 1 >= patience_) {
      found.push_back(i);
    }
  }
  return found;
}

HaltingAlarm::Extent HaltingAlarm::extent_of(size_t layers) const {
  return layers == 0 ? Extent::kNone : layers < watched_.size() ? Extent::kSome : Extent::kAll;
}

HaltingAlert HaltingAlarm::alert(const End& end, int64_t step, const std::vector<size_t>& found,
                                 const std::vector<double>& loops_by_layer) const {
  HaltingAlert alert{.kind = end.kind, .step = step};
  double sum = 0.0;
  for (const auto i : found) {
    alert.layers.push_back(watched_[i]);
    alert.since = std::max(alert.since, end.since[i]);
    sum += loops_by_layer[static_cast<size_t>(watched_[i])];
  }
  alert.all_layers = found.size() == watched_.size();
  alert.mean_loops = sum / static_cast<double>(found.size());
  return alert;
}

std::vector<HaltingAlert> HaltingAlarm::observe(int64_t step,
                                                const std::vector<double>& loops_by_layer) {
  const bool finite = std::all_of(loops_by_layer.begin(), loops_by_layer.end(),
                                  [](double loops) { return std::isfinite(loops); });
  if (patience_ == 0 || watched_.empty() || !finite) {
    return {};
  }
  std::vector<HaltingAlert> alerts;
  for (auto& end : ends_) {
    follow(end, step, loops_by_layer);
    const auto found = settled(end, step);
    const auto extent = extent_of(found.size());
    if (extent > end.told) {
      alerts.push_back(alert(end, step, found, loops_by_layer));
    }
    end.told = extent;
  }
  return alerts;
}

void HaltingAlarm::replay(const std::filesystem::path& metrics) {
  if (patience_ == 0 || watched_.empty() || !std::filesystem::exists(metrics)) {
    return;
  }
  // What was told stands in rows of its own: under another patience it was not what would be now.
  std::vector<Extent> told(ends_.size(), Extent::kNone);
  std::istringstream lines(read_file(metrics, ErrorCode::kCheckpoint));
  const JsonForm form{.code = ErrorCode::kCheckpoint, .expected = "a row of metrics"};
  const auto next_line = [&](std::string& line) {
    return static_cast<bool>(std::getline(lines, line));
  };
  const auto take = [&](const nlohmann::json& json, const std::string& where) {
    const JsonValues row(json, where, form);
    const bool is_step = row.has("loss") && row.has("loops_by_layer");
    if (is_step) {
      (void)observe(row.integer("step"), loops_of(row));
    }
    for (size_t i = 0; i < ends_.size(); ++i) {
      if (is_step) {
        told[i] = std::min(told[i], ends_[i].told);
      } else if (row.has("alarm") && row.text("alarm") == name_of(ends_[i].kind)) {
        told[i] = extent_of(row.list("layers").size());
      }
    }
    return true;
  };
  for_each_json_line(next_line, metrics.string(), form, take);
  for (size_t i = 0; i < ends_.size(); ++i) {
    ends_[i].told = told[i];
  }
}

nlohmann::ordered_json to_json(const HaltingAlert& alert) {
  return {
      {"step", alert.step},     {"alarm", name_of(alert.kind)},   {"since", alert.since},
      {"layers", alert.layers}, {"all_layers", alert.all_layers}, {"mean_loops", alert.mean_loops}};
}

std::string message(const HaltingAlert& alert, const RunConfig& config) {
  const auto& model = config.model;
  const auto where = alert.all_layers
                         ? std::string("all layers")
                         : fmt::format("layer{} {} of {}", alert.layers.size() > 1 ? "s" : "",
                                       fmt::join(alert.layers, ", "), model.num_hidden_layers);
  const auto found = fmt::format("step {}: mean loops {:.2f} since step {} in {}", alert.step,
                                 alert.mean_loops, alert.since, where);
  if (alert.kind == Kind::kLoopsAtOne) {
    const auto first = model.first_loop_scale_init ? fmt::format("{}", *model.first_loop_scale_init)
                                                   : std::string("unset");
    const auto pull = model.ponder_weight > 0.0
                          ? fmt::format("lower model.ponder_weight ({}), ", model.ponder_weight)
                          : std::string();
    return fmt::format(
        "{}: tokens stop after their first loop, the others do no work. In a new run {}start with "
        "model.router_bias_init ({}) further below 0, or with loops that change the state: "
        "model.loop_scale_init ({}), model.first_loop_scale_init ({}).",
        found, pull, model.router_bias_init, model.loop_scale_init, first);
  }
  return fmt::format(
      "{}: no token stops early, each costs all its loops. In a new run raise model.ponder_weight "
      "({}) or start with model.router_bias_init ({}) nearer to 0.",
      found, model.ponder_weight, model.router_bias_init);
}

}  // namespace loopbank
