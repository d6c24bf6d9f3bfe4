// Panels with two measured axes: lines with their bands, paths, and points with names.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "loopbank/study/figure_svg_axis.h"
#include "loopbank/study/figure_svg_panel.h"
#include "loopbank/study/figure_svg_range.h"

namespace loopbank {
namespace {

// Curves of more points show no marks.
constexpr size_t kManyPoints = 24;
constexpr double kNameSize = 10.5;

/// Left, top, right, bottom in pixels.
using PixelBox = std::array<double, 4>;

struct MeasuredAxes {
  SvgAxis x;
  SvgAxis y;
};

bool is_shown(const Figure& figure, const FigureSeries& series, size_t i) {
  return std::isfinite(series.x[i]) && std::isfinite(series.y[i]) &&
         (!figure.x_log || series.x[i] > 0);
}

SvgAxis axis_of_x(const SvgPanel& panel, const SvgFrame& frame) {
  const auto& figure = *panel.figure;
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  bool counts = !figure.x_log;
  for (const auto* series : panel.series) {
    for (size_t i = 0; i < series->x.size(); ++i) {
      if (is_shown(figure, *series, i)) {
        low = std::min(low, series->x[i]);
        high = std::max(high, series->x[i]);
        counts = counts && series->x[i] == std::round(series->x[i]) && series->x[i] <= 64;
      }
    }
  }
  for (const auto& line : figure.references) {
    if (line.panel == panel.name && line.of_x) {
      low = std::min(low, line.value);
      high = std::max(high, line.value);
    }
  }
  if (low > high) {
    low = figure.x_log ? 1 : 0;
    high = figure.x_log ? 10 : 1;
  }
  const auto room = static_cast<size_t>(frame.width() / (counts ? 32 : 62));
  return make_svg_axis(low, high,
                       {.start = frame.left,
                        .end = frame.right,
                        .log = figure.x_log,
                        .falls = figure.x_falls,
                        .counts = counts,
                        .padded = figure.kind != FigureKind::kLines || counts || figure.x_log,
                        .most_ticks = std::clamp<size_t>(room, 2, counts ? 16 : 7)});
}

void draw_grid(SvgWriter& out, const SvgPanel& panel, const SvgFrame& frame,
               const MeasuredAxes& axes) {
  for (const double tick : axes.y.ticks) {
    const double y = axes.y.at(tick);
    out.line(frame.left, y, frame.right, y, {.color = tick == 0 ? kSvgQuiet : kSvgLine});
    out.text(frame.left - 7, y + 4, svg_number(tick),
             {.size = 11, .anchor = "end", .color = kSvgQuiet});
  }
  out.line(frame.left, frame.bottom, frame.right, frame.bottom, {.color = kSvgQuiet});
  for (const double tick : axes.x.ticks) {
    const double x = axes.x.at(tick);
    out.line(x, frame.bottom, x, frame.bottom + 4, {.color = kSvgQuiet});
    out.text(x, frame.bottom + 16, svg_number(tick),
             {.size = 11, .anchor = "middle", .color = kSvgQuiet});
  }
  const double x = frame.left - svg_panel_margin(*panel.figure) + 12;
  const double y = (frame.top + frame.bottom) / 2;
  if (panel.names) {
    out.raw(fmt::format("<g transform=\"rotate(-90 {:.1f} {:.1f})\">", x, y));
    out.text(x, y, svg_cut(panel.figure->y_title, frame.height() + 36, 11.5),
             {.size = 11.5, .anchor = "middle", .color = kSvgQuiet});
    out.raw("</g>\n");
  }
}

void draw_reference_lines(SvgWriter& out, const SvgPanel& panel, const SvgFrame& frame,
                          const MeasuredAxes& axes) {
  double last = -100;  // where the name of the line before stands
  for (const auto& line : panel.figure->references) {
    if (line.panel != panel.name) {
      continue;
    }
    const SvgStroke stroke{.color = kSvgQuiet, .width = 1, .dashes = "3 3"};
    if (line.of_x) {
      const double x = axes.x.at(line.value);
      const bool fits = x + 6 + svg_text_width(line.label, 10.5) < frame.right;
      out.line(x, frame.top, x, frame.bottom, stroke);
      out.text(fits ? x + 4 : x - 4, frame.top + 11, line.label,
               {.size = 10.5, .anchor = fits ? "start" : "end", .color = kSvgQuiet});
    } else {
      const double y = axes.y.at(line.value);
      const double text_y = frame.bottom - y > 16 ? y + 12 : y - 4;
      const bool is_free = std::abs(text_y - last) > 12;
      last = text_y;
      out.line(frame.left, y, frame.right, y, stroke);
      out.text(is_free ? frame.left + 5 : frame.right - 5, text_y, line.label,
               {.size = 10.5, .anchor = is_free ? "start" : "end", .color = kSvgQuiet});
    }
  }
}

/// Between the ends of neighbouring intervals; nothing where only one of two has one.
void draw_band(SvgWriter& out, const Figure& figure, const FigureSeries& series,
               const MeasuredAxes& axes, const std::string& color) {
  std::vector<std::pair<double, double>> upper;
  std::vector<std::pair<double, double>> lower;
  const auto close = [&] {
    if (upper.size() > 1) {
      upper.insert(upper.end(), lower.rbegin(), lower.rend());
      out.area(upper, color, 0.13);
    }
    upper.clear();
    lower.clear();
  };
  for (size_t i = 0; i < series.y.size(); ++i) {
    const auto ends = series.interval(i);
    if (!ends || !is_shown(figure, series, i)) {
      close();
      continue;
    }
    const double x = axes.x.at(series.x[i]);
    upper.emplace_back(x, axes.y.at(ends->second));
    lower.emplace_back(x, axes.y.at(ends->first));
  }
  close();
}

void draw_bars_of_points(SvgWriter& out, const Figure& figure, const FigureSeries& series,
                         const MeasuredAxes& axes, const std::string& color) {
  for (size_t i = 0; i < series.y.size(); ++i) {
    const auto ends = series.interval(i);
    if (!ends || !is_shown(figure, series, i)) {
      continue;
    }
    const double x = axes.x.at(series.x[i]);
    const SvgStroke stroke{.color = color, .width = 1.25};
    out.line(x, axes.y.at(ends->first), x, axes.y.at(ends->second), stroke);
    for (const double end : {ends->first, ends->second}) {
      out.line(x - 3, axes.y.at(end), x + 3, axes.y.at(end), stroke);
    }
  }
}

void draw_series(SvgWriter& out, const Figure& figure, const FigureSeries& series,
                 const MeasuredAxes& axes) {
  const auto color = svg_color(series.color);
  const bool joined = !series.apart && (figure.kind != FigureKind::kPoints || series.y.size() > 1);
  std::vector<std::pair<double, double>> points;
  for (size_t i = 0; i < series.y.size(); ++i) {
    if (is_shown(figure, series, i)) {
      points.emplace_back(axes.x.at(series.x[i]), axes.y.at(series.y[i]));
    }
  }
  if (joined && points.size() > 1) {
    out.path(points, {.color = color,
                      .width = figure.kind == FigureKind::kPath ? 1.25 : 2.0,
                      .dashes = svg_dashes(series.color)});
  }
  if (joined && points.size() > kManyPoints) {
    return;
  }
  const double radius = series.apart || figure.kind == FigureKind::kPoints ? 4.5
                        : figure.kind == FigureKind::kPath                 ? 2.0
                                                                           : 3.2;
  for (size_t i = 0; i < series.y.size(); ++i) {
    if (is_shown(figure, series, i)) {
      out.mark(axes.x.at(series.x[i]), axes.y.at(series.y[i]),
               {.shape = svg_place(series.color),
                .radius = radius,
                .color = color,
                .hollow = series.hollow,
                .title = svg_value_text(figure, series, i)});
    }
  }
}

/// Writes the points' names beside them where there is room.
void draw_point_names(SvgWriter& out, const SvgPanel& panel, const SvgFrame& frame,
                      const MeasuredAxes& axes) {
  std::vector<PixelBox> taken;
  for (const auto* series : panel.series) {
    for (size_t i = 0; i < series->y.size(); ++i) {
      const double x = axes.x.at(series->x[i]);
      const double y = axes.y.at(series->y[i]);
      taken.push_back({x - 5, y - 5, x + 5, y + 5});
    }
  }
  const auto is_free = [&](const PixelBox& box) {
    return box[0] >= frame.left && box[2] <= frame.right && box[1] >= frame.top &&
           box[3] <= frame.bottom && std::none_of(taken.begin(), taken.end(), [&](auto& other) {
             return box[0] < other[2] && box[2] > other[0] && box[1] < other[3] &&
                    box[3] > other[1];
           });
  };
  for (const auto* series : panel.series) {
    for (size_t i = 0; i < series->notes.size() && i < series->y.size(); ++i) {
      const double width = svg_text_width(series->notes[i], kNameSize);
      const double x = axes.x.at(series->x[i]);
      const double y = axes.y.at(series->y[i]);
      const std::array<std::pair<double, double>, 6> places = {{{x + 7, y - 7},
                                                                {x + 7, y + 8},
                                                                {x - width - 7, y - 7},
                                                                {x - width - 7, y + 8},
                                                                {x - width / 2, y - 14},
                                                                {x - width / 2, y + 15}}};
      for (const auto& [left, middle] : places) {
        const PixelBox box = {left - 1, middle - 6, left + width + 1, middle + 6};
        if (is_free(box)) {
          taken.push_back(box);
          out.text(left, middle + 4, series->notes[i], {.size = kNameSize});
          break;
        }
      }
    }
  }
}

}  // namespace

void draw_svg_lines(SvgWriter& out, const SvgPanel& panel, const SvgFrame& frame) {
  const auto& figure = *panel.figure;
  const auto [low, high] = svg_value_range(panel, /*from_zero=*/false);
  const auto ticks = std::clamp<size_t>(static_cast<size_t>(frame.height() / 36), 3, 8);
  const MeasuredAxes axes{
      axis_of_x(panel, frame),
      make_svg_axis(low, high, {.start = frame.bottom, .end = frame.top, .most_ticks = ticks})};
  draw_grid(out, panel, frame, axes);
  draw_reference_lines(out, panel, frame, axes);
  out.raw(
      fmt::format("<clipPath id=\"{}\"><rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
                  "height=\"{:.1f}\"/></clipPath>\n<g clip-path=\"url(#{})\">\n",
                  panel.clip_id, frame.left - 6, frame.top - 6, frame.width() + 12,
                  frame.height() + 12, panel.clip_id));
  const bool bands = figure.kind == FigureKind::kLines;
  for (const auto* series : panel.series) {
    if (bands && !series->apart) {
      draw_band(out, figure, *series, axes, svg_color(series->color));
    } else {
      draw_bars_of_points(out, figure, *series, axes, svg_color(series->color));
    }
  }
  for (const auto* series : panel.series) {
    draw_series(out, figure, *series, axes);
  }
  out.raw("</g>\n");
  if (figure.kind == FigureKind::kPoints) {
    draw_point_names(out, panel, frame, axes);
  }
}

}  // namespace loopbank
