#pragma once
/// What results.json of a study says, read without assuming that anything was measured: a missing
/// part, or one of another type, is absent and never zero (docs/formats.md has the keys).

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace loopbank {

using Json = nlohmann::ordered_json;

/// The member of an object; null where there is none.
[[nodiscard]] const Json& member(const Json& json, std::string_view key);
[[nodiscard]] std::optional<double> number_at(const Json& json, std::string_view key);
/// The text; `otherwise` where there is none.
[[nodiscard]] std::string text_at(const Json& json, std::string_view key,
                                  std::string_view otherwise = "");
/// The numbers of a list, in order; what is no number is left out.
[[nodiscard]] std::vector<double> numbers(const Json& list);
/// @param values  at least one
[[nodiscard]] double mean_of(const std::vector<double>& values);

/// A column of a part's table.
struct ScoreColumn {
  std::string key;
  std::string title;
  std::string kind;    ///< "knowledge" or "reasoning"
  std::string metric;  ///< "accuracy" or "bpb"
  bool lower_is_better = false;
  std::string paper_key;  ///< of the paper's column that it stands for; empty where there is none
  std::string paper_title;
  std::optional<double> chance;  ///< what guessing scores
};

[[nodiscard]] std::vector<ScoreColumn> columns_of(const Json& part);
/// The first column of that kind and metric.
[[nodiscard]] std::optional<ScoreColumn> find_column(const Json& part, std::string_view kind,
                                                     std::string_view metric);

/// "lower is better" or "higher is better".
[[nodiscard]] std::string direction_of(const ScoreColumn& column);

/// A system's score in a column.
struct SystemScore {
  double mean = 0.0;
  std::optional<double> spread;          ///< standard deviation over seeds; absent for one seed
  std::optional<double> standard_error;  ///< over the questions of one seed
  std::vector<double> by_seed;

  /// The spread, or else the standard error: what a bar at the score shows.
  [[nodiscard]] std::optional<double> bar() const { return spread ? spread : standard_error; }
};

[[nodiscard]] std::optional<SystemScore> score_of(const Json& system, std::string_view column_key);
/// The paper's score of a system in the column's own one.
[[nodiscard]] std::optional<double> paper_score(const Json& system, const ScoreColumn& column);

/// The systems of a part, in the table's order; `groups` empty: all of them.
[[nodiscard]] std::vector<const Json*> systems_of(const Json& part,
                                                  const std::vector<std::string_view>& groups = {});
/// Null where there is none of that name.
[[nodiscard]] const Json* find_system(const Json& part, std::string_view name);
[[nodiscard]] std::string label_of(const Json& system);
[[nodiscard]] std::string group_of(const Json& system);
[[nodiscard]] bool is_adaptive(const Json& system);
/// Local and global slots together.
[[nodiscard]] double slots_of(const Json& system);

/// A colour of the page's palette for every system: its family's, in its family's order. Systems
/// outside the paper's ten take colours of their own.
[[nodiscard]] std::map<std::string, std::string> colors_of(const Json& part);

}  // namespace loopbank
