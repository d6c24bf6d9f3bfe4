#include "loopbank/study/results_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

namespace loopbank {
namespace {

// Further systems take the colours anew.
constexpr int kColorsOfAFamily = 4;
constexpr int kColorsOfOthers = 6;

}  // namespace

const Json& member(const Json& json, std::string_view key) {
  static const Json kNull;
  if (!json.is_object()) {
    return kNull;
  }
  const auto found = json.find(std::string(key));
  return found == json.end() ? kNull : *found;
}

std::optional<double> number_at(const Json& json, std::string_view key) {
  const auto& value = member(json, key);
  return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

std::string text_at(const Json& json, std::string_view key, std::string_view otherwise) {
  const auto& value = member(json, key);
  return value.is_string() ? value.get<std::string>() : std::string(otherwise);
}

std::vector<double> numbers(const Json& list) {
  std::vector<double> values;
  if (list.is_array()) {
    for (const auto& value : list) {
      if (value.is_number()) {
        values.push_back(value.get<double>());
      }
    }
  }
  return values;
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::vector<ScoreColumn> columns_of(const Json& part) {
  std::vector<ScoreColumn> columns;
  for (const auto& json : member(part, "columns")) {
    const auto& lower = member(json, "lower_is_better");
    columns.push_back({.key = text_at(json, "key"),
                       .title = text_at(json, "title", text_at(json, "key")),
                       .kind = text_at(json, "kind"),
                       .metric = text_at(json, "metric"),
                       .lower_is_better = lower.is_boolean() && lower.get<bool>(),
                       .paper_key = text_at(json, "paper_key"),
                       .paper_title = text_at(json, "paper_title"),
                       .chance = number_at(json, "chance")});
  }
  return columns;
}

std::optional<ScoreColumn> find_column(const Json& part, std::string_view kind,
                                       std::string_view metric) {
  for (const auto& column : columns_of(part)) {
    if (column.kind == kind && column.metric == metric) {
      return column;
    }
  }
  return std::nullopt;
}

std::string direction_of(const ScoreColumn& column) {
  return column.lower_is_better ? "lower is better" : "higher is better";
}

std::optional<SystemScore> score_of(const Json& system, std::string_view column_key) {
  const auto& json = member(member(system, "scores"), column_key);
  const auto mean = number_at(json, "mean");
  if (!mean) {
    return std::nullopt;
  }
  return SystemScore{*mean, number_at(json, "spread"), number_at(json, "standard_error"),
                     numbers(member(json, "by_seed"))};
}

std::optional<double> paper_score(const Json& system, const ScoreColumn& column) {
  return column.paper_key.empty() ? std::nullopt
                                  : number_at(member(system, "paper"), column.paper_key);
}

std::vector<const Json*> systems_of(const Json& part, const std::vector<std::string_view>& groups) {
  std::vector<const Json*> found;
  for (const auto& system : member(part, "systems")) {
    const auto group = group_of(system);
    if (groups.empty() || std::find(groups.begin(), groups.end(), group) != groups.end()) {
      found.push_back(&system);
    }
  }
  return found;
}

const Json* find_system(const Json& part, std::string_view name) {
  for (const auto* system : systems_of(part)) {
    if (text_at(*system, "name") == name) {
      return system;
    }
  }
  return nullptr;
}

std::string label_of(const Json& system) {
  return text_at(system, "label", text_at(system, "name"));
}

std::string group_of(const Json& system) {
  return text_at(system, "group", "paper");
}

bool is_adaptive(const Json& system) {
  return number_at(system, "loops").value_or(0) > 0;
}

double slots_of(const Json& system) {
  return number_at(system, "local_slots").value_or(0) +
         number_at(system, "global_slots").value_or(0);
}

std::map<std::string, std::string> colors_of(const Json& part) {
  std::map<std::string, std::string> colors;
  std::map<std::string, int> taken;
  for (const auto* system : systems_of(part)) {
    const auto family = text_at(*system, "family");
    const bool known = family == "dense" || family == "loops" || family == "memory";
    const auto name = group_of(*system) == "paper" && known ? family : std::string("other");
    const int limit = name == "other" ? kColorsOfOthers : kColorsOfAFamily;
    colors[text_at(*system, "name")] = fmt::format("{}-{}", name, taken[name]++ % limit);
  }
  return colors;
}

}  // namespace loopbank
