#pragma once
/// What of a figure is drawn in a panel, which values it reaches, and how a value reads.

#include <string>
#include <utility>
#include <vector>

#include "loopbank/study/figure_svg_panel.h"

namespace loopbank {

/// The series of a panel that a page starts with; all of them where that is none.
[[nodiscard]] std::vector<const FigureSeries*> drawn_series(const Figure& figure,
                                                            const std::string& panel);

/// The least and largest value with the ends of its bars and the lines across it. Of curves, bars
/// may take up to the height of the curves above and below them: intervals of two seeds would
/// flatten everything else.
[[nodiscard]] std::pair<double, double> svg_value_range(const SvgPanel& panel, bool from_zero);

/// Whether the value range of a panel cuts intervals of its curves.
[[nodiscard]] bool cuts_intervals(const Figure& figure);

/// `Loop-3: -0.139, -0.239 to -0.039`, with the point's note.
[[nodiscard]] std::string svg_value_text(const Figure& figure, const FigureSeries& series,
                                         size_t i);

}  // namespace loopbank
