// The table of the page: scores with the comparisons behind their marks.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/study/page_data.h"
#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

/// What the marks of the table compare with.
struct Baseline {
  const char* name;
  std::string label;
  const char* letter;
};

/// IsoPar and IsoFLOP; where all systems start from an existing model, that one trained on.
std::vector<Baseline> baselines_of(const PartResult& part) {
  if (!part.init.empty()) {
    return {{"isopar", part.label_of("isopar"), "D"}};
  }
  return {{"isopar", "IsoPar", "P"}, {"isoflop", "IsoFLOP", "F"}};
}

/// The groups of systems in the table, by name and title.
constexpr std::array<std::array<const char*, 2>, 4> kGroups = {{{"paper", "The paper's systems"},
                                                                {"own", "Further systems"},
                                                                {"grid", "Loops and memory slots"},
                                                                {"ponder", "Ponder weights"}}};

/// `4 layers, 3 loops, 64+32 slots`.
std::string shape_of(const SystemResult& system) {
  std::string text = fmt::format("{} layers", system.layers);
  if (system.loops > 0) {
    text += ", " + plural(system.loops, "loop");
  }
  if (system.local_slots + system.global_slots > 0) {
    text += fmt::format(", {}+{} slots", system.local_slots, system.global_slots);
  }
  if (system.ponder_weight > 0) {
    text += fmt::format(", ponder {}", system.ponder_weight);
  }
  return text;
}

/// The best score of a column in each group.
double best_score(const PartResult& part, const std::string& group, const Column& column) {
  double best = column.lower_is_better() ? HUGE_VAL : -HUGE_VAL;
  for (const auto& system : part.systems) {
    const auto* score = system.score(column);
    if (system.group == group && score != nullptr) {
      best = column.lower_is_better() ? std::min(best, score->mean) : std::max(best, score->mean);
    }
  }
  return best;
}

Json optional_json(const std::optional<double>& value) {
  return value ? Json(*value) : Json();
}

std::string count_text(double count) {
  return count > 0 ? format_count(count) : "";
}

Json table_row(const PartResult& part, const ShownSystem& shown) {
  const auto& system = *shown.result;
  Json row = {{"name", system.name},
              {"label", system.label},
              {"color", shown.series.color},
              {"shape", shape_of(system)},
              {"scores", Json::array()},
              {"counts",
               {count_text(system.parameters), count_text(system.forward_flops),
                count_text(system.tokens_per_second)}},
              {"loops", nullptr},
              {"paper", Json::array()}};
  for (const auto& column : part.columns) {
    if (const auto* score = system.score(column)) {
      row["scores"].push_back({{"mean", score->mean},
                               {"bar", optional_json(score->bar())},
                               {"best", score->mean == best_score(part, system.group, column)}});
    } else {
      row["scores"].push_back(nullptr);
    }
    if (!column.paper_key.empty()) {
      row["paper"].push_back(optional_json(system.paper_score(column)));
    }
  }
  if (system.loops > 0) {
    row["loops"] = {{"mean", system.mean_loops}, {"bar", optional_json(system.mean_loops_spread)}};
  }
  return row;
}

Json groups_of(const ShownPart& source) {
  auto groups = Json::array();
  for (const auto& [name, title] : kGroups) {
    auto rows = Json::array();
    for (const auto& shown : source.systems) {
      if (shown.result->group == name) {
        rows.push_back(table_row(*source.part, shown));
      }
    }
    if (!rows.empty()) {
      const bool retrofit = !source.part->init.empty() && std::string_view(name) == "paper";
      groups.push_back(
          {{"title", retrofit ? "Given to the dense model" : title}, {"rows", std::move(rows)}});
    }
  }
  return groups;
}

/// `-0.100 (95 % interval over seeds -0.150 to -0.050), p = 0.001; over questions -0.120 to -0.080`:
/// the decisive interval first.
std::string interval_text(const SystemComparison& comparison) {
  const auto& [difference, low, high, p] = comparison.decisive;
  auto text = fmt::format("{:+.3f} (95 % interval{} {:+.3f} to {:+.3f})", difference,
                          interval_source(comparison), low, high);
  text += p < 0.001 ? ", p < 0.001" : fmt::format(", p = {:.3f}", p);
  if (comparison.seeds) {
    const auto& other = comparison.over_seeds ? comparison.questions : *comparison.seeds;
    text += fmt::format("; over {} {:+.3f} to {:+.3f}",
                        comparison.over_seeds ? "questions" : "seeds", other.low, other.high);
  }
  return text;
}

/// Every measured difference from the baselines, behind the marks of the table.
Json comparisons_of(const PartResult& part) {
  const auto baselines = baselines_of(part);
  auto list = Json::array();
  for (const auto& system : part.systems) {
    for (const auto& baseline : baselines) {
      for (const auto& column : part.columns) {
        const auto* compared = part.compared({system.name, baseline.name, column.key});
        if (compared != nullptr && !compared->estimated) {
          list.push_back({{"name", system.name},
                          {"key", column.key},
                          {"system", system.label},
                          {"against", baseline.label},
                          {"letter", baseline.letter},
                          {"column", column.title},
                          {"verdict", name_of(compared->verdict)},
                          {"over_seeds", compared->over_seeds},
                          {"text", interval_text(*compared)}});
        }
      }
    }
  }
  return list;
}

Json baselines_json(const PartResult& part) {
  auto list = Json::array();
  for (const auto& baseline : baselines_of(part)) {
    list.push_back({{"label", baseline.label}, {"letter", baseline.letter}});
  }
  return list;
}

Json columns_json(const PartResult& part, bool of_paper) {
  auto columns = Json::array();
  for (const auto& column : part.columns) {
    if (!of_paper) {
      columns.push_back({{"key", column.key},
                         {"title", column.title},
                         {"direction", column.direction()},
                         {"chance", optional_json(column.guessing)}});
    } else if (!column.paper_key.empty()) {
      columns.push_back({{"title", column.paper_title}});
    }
  }
  return columns;
}

}  // namespace

Json table_data(const ShownPart& source) {
  return {{"columns", columns_json(*source.part, /*of_paper=*/false)},
          {"paper_columns", columns_json(*source.part, /*of_paper=*/true)},
          {"groups", groups_of(source)},
          {"baselines", baselines_json(*source.part)},
          {"comparisons", comparisons_of(*source.part)}};
}

}  // namespace loopbank
