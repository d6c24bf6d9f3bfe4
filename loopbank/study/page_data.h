#pragma once
/// What the page's script reads: every figure by its name, and the tokens that it colours.

#include <string>
#include <vector>

#include "loopbank/study/figures.h"

namespace loopbank {

/// A part with its figures and whether the page has others beside it.
struct PartView {
  const Json* json;
  std::string title;  ///< empty where it is the only one
  std::vector<Figure> figures;
};

[[nodiscard]] std::vector<PartView> views_of(const Json& results);

/// `benchmark-loop-budget`: a figure's name on the page and, with .csv behind it, as a file.
[[nodiscard]] std::string figure_name(const Json& part, const Figure& figure);

/// {"figures": {NAME: as to_json gives it}, "tokens": [{"label", "part", "adaptive", "columns"}]}.
/// Heat maps are tables of the page and no business of the script.
[[nodiscard]] Json page_data(const std::vector<PartView>& views);

}  // namespace loopbank
