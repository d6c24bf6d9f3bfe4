// Panels whose one axis has names: dots, bars, stacks and tables. And the keys of all kinds.
#include "loopbank/study/figure_svg_panel.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "loopbank/study/figure_svg_axis.h"
#include "loopbank/study/figure_svg_range.h"

namespace loopbank {
namespace {

constexpr double kRowOfDots = 22;
constexpr double kRowOfTable = 42;
constexpr double kMarginOfNames = 150;
constexpr double kMarginOfNumbers = 62;
constexpr double kThickestBar = 16;
constexpr double kRowOfTwoLines = 24;

/// Height of a name's place where bars lie.
double row_of_bars(const Figure& figure) {
  size_t most = 1;
  for (const auto& panel : panels_of(figure)) {
    most = std::max(most, drawn_series(figure, panel).size());
  }
  return std::max(24.0, 9.0 * static_cast<double>(most) + 8.0);
}

void draw_whisker(SvgWriter& out, const SvgFrame& frame, std::pair<double, double> ends,
                  double across, bool lying, std::string_view color) {
  const double low = lying ? frame.left : frame.top;
  const double high = lying ? frame.right : frame.bottom;
  const double from = std::clamp(ends.first, low, high);
  const double to = std::clamp(ends.second, low, high);
  const SvgStroke stroke{.color = color, .width = 1.5};
  const auto segment = [&](double a, double across_a, double b, double across_b) {
    if (lying) {
      out.line(a, across_a, b, across_b, stroke);
    } else {
      out.line(across_a, a, across_b, b, stroke);
    }
  };
  segment(from, across, to, across);
  for (const double end : {from, to}) {
    segment(end, across - 3, end, across + 3);
  }
}

void draw_references(SvgWriter& out, const SvgPanel& panel, const SvgFrame& frame,
                     const SvgAxis& axis, bool lying) {
  for (const auto& line : panel.figure->references) {
    if (line.panel != panel.name) {
      continue;
    }
    const double at = axis.at(line.value);
    const SvgStroke stroke{.color = kSvgQuiet, .width = 1, .dashes = "3 3"};
    const SvgText style{.size = 10.5, .color = kSvgQuiet};
    if (lying) {
      out.line(at, frame.top, at, frame.bottom, stroke);
      out.text(at + 4, frame.bottom - 5, line.label, style);
    } else {
      out.line(frame.left, at, frame.right, at, stroke);
      out.text(frame.left + 5, frame.bottom - at > 16 ? at + 12 : at - 4, line.label, style);
    }
  }
}

/// Grid and numbers of a value axis that runs to the right.
void draw_values_below(SvgWriter& out, const SvgFrame& frame, const SvgAxis& axis) {
  for (const double tick : axis.ticks) {
    const double x = axis.at(tick);
    out.line(x, frame.top, x, frame.bottom, {.color = tick == 0 ? kSvgQuiet : kSvgLine});
    out.text(x, frame.bottom + 15, svg_number(tick),
             {.size = 11, .anchor = "middle", .color = kSvgQuiet});
  }
}

/// Names below each other, left of the frame; long ones in two lines.
void draw_names(SvgWriter& out, const SvgPanel& panel, const SvgFrame& frame) {
  const auto& names = panel.figure->x_names;
  const double row = frame.height() / static_cast<double>(std::max<size_t>(names.size(), 1));
  for (size_t i = 0; panel.names && i < names.size(); ++i) {
    const double y = frame.top + row * (static_cast<double>(i) + 0.5);
    auto name = names[i];
    std::replace(name.begin(), name.end(), '_', ' ');
    if (svg_text_width(name, 12) <= kMarginOfNames - 14 || row < kRowOfTwoLines) {
      out.text(frame.left - 9, y + 4, svg_cut(name, kMarginOfNames - 14, 12), {.anchor = "end"});
      continue;
    }
    const auto lines = svg_wrapped(name, kMarginOfNames - 14, 11);
    for (size_t line = 0; line < std::min<size_t>(lines.size(), 2); ++line) {
      out.text(frame.left - 9, y - 2 + 12 * static_cast<double>(line),
               svg_cut(lines[line], kMarginOfNames - 14, 11), {.size = 11, .anchor = "end"});
    }
  }
}

void draw_lying(SvgWriter& out, const SvgPanel& panel, const SvgFrame& frame) {
  const auto& figure = *panel.figure;
  const bool bars = figure.kind == FigureKind::kAcross;
  const auto [low, high] = svg_value_range(panel, /*from_zero=*/bars);
  const auto axis = make_svg_axis(low, high, {.start = frame.left, .end = frame.right});
  const double row =
      frame.height() / static_cast<double>(std::max<size_t>(figure.x_names.size(), 1));
  draw_values_below(out, frame, axis);
  draw_names(out, panel, frame);
  draw_references(out, panel, frame, axis, /*lying=*/true);
  const auto count = static_cast<double>(panel.series.size());
  const double thickness = std::min(kThickestBar, (row - 6) / count);
  for (size_t s = 0; s < panel.series.size(); ++s) {
    const auto& series = *panel.series[s];
    const auto color = svg_color(series.color);
    for (size_t i = 0; i < series.y.size(); ++i) {
      if (!std::isfinite(series.y[i])) {
        continue;
      }
      const auto title = svg_value_text(figure, series, i);
      const double x = axis.at(series.y[i]);
      double y = frame.top + row * (series.x[i] + 0.5);
      if (bars) {
        const double zero = axis.at(0);
        y += thickness * (static_cast<double>(s) - (count - 1) / 2);
        out.rect(std::min(x, zero), y - thickness / 2 + 0.5, std::abs(x - zero), thickness - 1,
                 color, title);
      }
      if (const auto ends = series.interval(i)) {
        draw_whisker(out, frame, {axis.at(ends->first), axis.at(ends->second)}, y, /*lying=*/true,
                     bars ? kSvgInk : color);
      }
      if (!bars) {
        out.mark(x, y,
                 {.shape = svg_place(series.color),
                  .color = color,
                  .hollow = series.hollow,
                  .title = title});
      }
    }
  }
}

/// Grid and numbers of a value axis that runs upwards, and what it measures.
void draw_values_left(SvgWriter& out, const SvgPanel& panel, const SvgFrame& frame,
                      const SvgAxis& axis) {
  for (const double tick : axis.ticks) {
    const double y = axis.at(tick);
    out.line(frame.left, y, frame.right, y, {.color = tick == 0 ? kSvgQuiet : kSvgLine});
    out.text(frame.left - 7, y + 4, svg_number(tick),
             {.size = 11, .anchor = "end", .color = kSvgQuiet});
  }
  if (panel.names) {
    const double x = frame.left - kMarginOfNumbers + 12;
    const double y = (frame.top + frame.bottom) / 2;
    out.raw(fmt::format("<g transform=\"rotate(-90 {:.1f} {:.1f})\">", x, y));
    out.text(x, y, svg_cut(panel.figure->y_title, frame.height() + 30, 11.5),
             {.size = 11.5, .anchor = "middle", .color = kSvgQuiet});
    out.raw("</g>\n");
  }
}

void draw_standing(SvgWriter& out, const SvgPanel& panel, const SvgFrame& frame) {
  const auto& figure = *panel.figure;
  const bool stacked = figure.kind == FigureKind::kStack;
  const auto [low, high] =
      stacked ? std::pair(0.0, 1.0) : svg_value_range(panel, /*from_zero=*/true);
  const auto axis = make_svg_axis(
      low, high, {.start = frame.bottom, .end = frame.top, .padded = !stacked, .most_ticks = 6});
  draw_values_left(out, panel, frame, axis);
  draw_references(out, panel, frame, axis, /*lying=*/false);
  const auto places = static_cast<double>(std::max<size_t>(figure.x_names.size(), 1));
  const double place = frame.width() / places;
  for (size_t i = 0; i < figure.x_names.size(); ++i) {
    double y = frame.bottom + 15;
    for (const auto& line : svg_wrapped(figure.x_names[i], place - 4, 11)) {
      out.text(frame.left + place * (static_cast<double>(i) + 0.5), y, line,
               {.size = 11, .anchor = "middle"});
      y += 12;
    }
  }
  const auto count = static_cast<double>(stacked ? 1 : panel.series.size());
  const double thickness = std::min(stacked ? 46 : kThickestBar, place * 0.85 / count);
  std::vector<double> reached(figure.x_names.size(), 0.0);
  for (size_t s = 0; s < panel.series.size(); ++s) {
    const auto& series = *panel.series[s];
    for (size_t i = 0; i < series.y.size(); ++i) {
      const auto at = static_cast<size_t>(series.x[i]);
      const double below = stacked ? reached.at(at) : 0.0;
      const double x = frame.left + place * (series.x[i] + 0.5) +
                       (stacked ? 0.0 : thickness * (static_cast<double>(s) - (count - 1) / 2));
      const double top = axis.at(below + series.y[i]);
      const double bottom = axis.at(below);
      out.rect(x - thickness / 2 + 0.5, std::min(top, bottom), thickness - 1,
               std::abs(bottom - top), svg_color(series.color), svg_value_text(figure, series, i));
      const auto ends = series.interval(i);
      if (ends && !stacked) {
        draw_whisker(out, frame, {axis.at(ends->first), axis.at(ends->second)}, x,
                     /*lying=*/false, kSvgInk);
      }
      reached.at(at) += series.y[i];
    }
  }
}

void draw_table(SvgWriter& out, const SvgPanel& panel, const SvgFrame& frame) {
  const auto& figure = *panel.figure;
  const auto [low, high] = svg_value_range(panel, /*from_zero=*/false);
  const double width =
      frame.width() / static_cast<double>(std::max<size_t>(figure.x_names.size(), 1));
  for (size_t i = 0; i < figure.x_names.size(); ++i) {
    out.text(frame.left + width * (static_cast<double>(i) + 0.5), frame.bottom + 15,
             svg_cut(figure.x_names[i], width - 2, 11), {.size = 11, .anchor = "middle"});
  }
  double top = frame.top;
  for (const auto* series : panel.series) {
    if (panel.names) {
      out.text(frame.left - 9, top + kRowOfTable / 2 + 4,
               svg_cut(series->label, kMarginOfNames - 14, 12), {.anchor = "end"});
    }
    for (size_t i = 0; i < series->y.size(); ++i) {
      const double x = frame.left + width * series->x[i];
      const double share = high > low ? (series->y[i] - low) / (high - low) : 0.5;
      const double shade = 0.05 + 0.5 * (series->lower_is_better ? 1 - share : share);
      out.rect(x + 1, top + 1, width - 2, kRowOfTable - 2, "#177a88",
               svg_value_text(figure, *series, i), shade);
      const auto ends = series->interval(i);
      out.text(x + width / 2, top + kRowOfTable / 2 + (ends ? -1 : 4), svg_number(series->y[i]),
               {.anchor = "middle"});
      if (ends) {
        out.text(x + width / 2, top + kRowOfTable / 2 + 13,
                 fmt::format("\u00b1 {}", svg_number((ends->second - ends->first) / 2)),
                 {.size = 10, .anchor = "middle", .color = kSvgQuiet});
      }
    }
    top += kRowOfTable;
  }
}

}  // namespace

double svg_panel_height(const Figure& figure, size_t panels_in_a_row) {
  const auto names = static_cast<double>(std::max<size_t>(figure.x_names.size(), 1));
  switch (figure.kind) {
    case FigureKind::kDots:
      return kRowOfDots * names;
    case FigureKind::kAcross:
      return row_of_bars(figure) * names;
    case FigureKind::kHeat: {
      size_t rows = 1;
      for (const auto& panel : panels_of(figure)) {
        rows = std::max(rows, drawn_series(figure, panel).size());
      }
      return kRowOfTable * static_cast<double>(rows);
    }
    default:
      return panels_in_a_row == 1 ? 330 : panels_in_a_row == 2 ? 240 : 170;
  }
}

double svg_panel_margin(const Figure& figure) {
  return lies(figure.kind) || figure.kind == FigureKind::kHeat ? kMarginOfNames : kMarginOfNumbers;
}

void draw_svg_panel(SvgWriter& out, const SvgPanel& panel, const SvgFrame& frame) {
  switch (panel.figure->kind) {
    case FigureKind::kDots:
    case FigureKind::kAcross:
      draw_lying(out, panel, frame);
      break;
    case FigureKind::kBars:
    case FigureKind::kStack:
      draw_standing(out, panel, frame);
      break;
    case FigureKind::kHeat:
      draw_table(out, panel, frame);
      break;
    default:
      draw_svg_lines(out, panel, frame);
  }
}

void draw_svg_key(SvgWriter& out, double x, double y, const FigureSeries& series, FigureKind kind) {
  const auto color = svg_color(series.color);
  if (has_bars(kind)) {
    out.rect(x + 7, y - 9, 11, 10, color);
    return;
  }
  if (!series.apart && kind != FigureKind::kDots) {
    out.line(x, y - 4, x + 24, y - 4,
             {.color = color, .width = 2, .dashes = svg_dashes(series.color)});
  }
  out.mark(
      x + 12, y - 4,
      {.shape = svg_place(series.color), .radius = 3.5, .color = color, .hollow = series.hollow});
}

}  // namespace loopbank
