#pragma once
/// One picture of a figure as SVG: its axes and what stands between them.

#include <string>
#include <vector>

#include "loopbank/study/figure_svg_text.h"
#include "loopbank/study/figures.h"

namespace loopbank {

/// Where a panel's axes enclose what is drawn, in pixels.
struct SvgFrame {
  double left = 0;
  double top = 0;
  double right = 0;
  double bottom = 0;

  [[nodiscard]] double width() const { return right - left; }
  [[nodiscard]] double height() const { return bottom - top; }
};

/// One panel of a figure and what of it is drawn.
struct SvgPanel {
  const Figure* figure;
  std::string name;
  std::vector<const FigureSeries*> series;
  bool names = true;  ///< the names of the y axis are written (they may stand left of a neighbour)
  std::string clip_id;  ///< unique in the file
};

/// Pixels that a panel needs above and below each other, without what surrounds its frame.
[[nodiscard]] double svg_panel_height(const Figure& figure, size_t panels_in_a_row);

/// Pixels left of the frame for the names or numbers of the y axis and its title.
[[nodiscard]] double svg_panel_margin(const Figure& figure);

/// Draws it, with ticks and titles around the frame.
void draw_svg_panel(SvgWriter& out, const SvgPanel& panel, const SvgFrame& frame);

/// Those of them that have two measured axes: lines, paths and points.
void draw_svg_lines(SvgWriter& out, const SvgPanel& panel, const SvgFrame& frame);

/// The picture beside a key.
void draw_svg_key(SvgWriter& out, double x, double y, const FigureSeries& series, FigureKind kind);

/// Whether bars stand at names.
[[nodiscard]] constexpr bool has_bars(FigureKind kind) {
  return kind == FigureKind::kBars || kind == FigureKind::kAcross || kind == FigureKind::kStack;
}
/// Whether names stand below each other and values run to the right.
[[nodiscard]] constexpr bool lies(FigureKind kind) {
  return kind == FigureKind::kDots || kind == FigureKind::kAcross;
}

}  // namespace loopbank
