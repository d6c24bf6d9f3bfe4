#pragma once
/// The tables of the page: scores with their marks, every difference behind the marks, and heat
/// maps. Plain HTML that needs no script.

#include <string>

#include "loopbank/study/figures.h"

namespace loopbank {

/// The table of a part, a group of systems after the other; what its marks mean; and, to unfold,
/// every difference with its interval.
[[nodiscard]] std::string score_table_html(const Json& part);

/// A figure of kind kHeat: a table for each panel.
[[nodiscard]] std::string heat_html(const Figure& figure);

/// How near the derived baselines came to what they match, as a list; empty where none was.
[[nodiscard]] std::string matches_html(const Json& part);

}  // namespace loopbank
