#pragma once
/// Figures of a made-up part, and what of them a test looks at.

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/study/figures.h"
#include "report_sample.h"

namespace loopbank::testing {

[[nodiscard]] inline std::vector<Figure> figures_of(const PartResult& part) {
  return make_figures(shown_part(part));
}

[[nodiscard]] inline std::vector<Figure> figures_of(const nlohmann::ordered_json& part) {
  return figures_of(typed(part));
}

/// @throws std::runtime_error where there is none
[[nodiscard]] inline const Figure& figure_of(const std::vector<Figure>& figures,
                                             std::string_view id) {
  const auto found = std::find_if(figures.begin(), figures.end(),
                                  [&](const Figure& figure) { return figure.id == id; });
  if (found == figures.end()) {
    throw std::runtime_error("no figure " + std::string(id));
  }
  return *found;
}

/// The first of that name, in the first panel that begins so.
/// @throws std::runtime_error where there is none
[[nodiscard]] inline const FigureSeries& series_labelled(const Figure& figure,
                                                         std::string_view label,
                                                         std::string_view panel = "") {
  for (const auto& series : figure.series) {
    if (series.label == label && (panel.empty() || series.panel.starts_with(panel))) {
      return series;
    }
  }
  throw std::runtime_error("no series " + std::string(label));
}

}  // namespace loopbank::testing
