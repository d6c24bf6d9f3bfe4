#pragma once
/// What the page's script reads: words and numbers, without any markup.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "loopbank/study/figures.h"

namespace loopbank {

/// A part with its figures.
struct PartView {
  std::string prefix;  ///< `benchmark-`: of its figures' names on the page and of its CSV files
  std::string title;   ///< empty where it is the only part
  ShownPart source;
  std::vector<Figure> figures;
};

/// A figure as charts.js draws it, under the name prefix + id.
[[nodiscard]] nlohmann::ordered_json figure_json(const Figure& figure, const std::string& prefix);

[[nodiscard]] std::vector<PartView> views_of(const StudyResult& results);

/// Sentences that begin the page, and of each part its table, comparisons, claims, answers, figures,
/// settings and data; then the tokens that the page colours:
///
///     {"title", "lead", "notices": [], "command",
///      "parts": [{"title", "bars", "table", "claims", "answers", "exits", "dead", "figures",
///                 "settings", "data", "matches"}],
///      "tokens": [{"label", "part", "adaptive", "columns"}]}
[[nodiscard]] nlohmann::ordered_json page_data(const StudyResult& results,
                                               const std::vector<PartView>& views);

/// {"columns", "paper_columns", "groups": [{"title", "rows"}], "comparisons"}: the comparisons are
/// those with IsoPar and IsoFLOP, which the marks of the table show.
[[nodiscard]] nlohmann::ordered_json table_data(const ShownPart& source);

}  // namespace loopbank
