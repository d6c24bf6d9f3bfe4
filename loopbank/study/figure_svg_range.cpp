#include "loopbank/study/figure_svg_range.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "loopbank/study/figure_svg_axis.h"

namespace loopbank {
namespace {

/// Grows with what it is given.
struct ValueRange {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void add(double value) {
    if (std::isfinite(value)) {
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
};

}  // namespace

std::vector<const FigureSeries*> drawn_series(const Figure& figure, const std::string& panel) {
  std::vector<const FigureSeries*> shown;
  std::vector<const FigureSeries*> all;
  for (const auto& series : figure.series) {
    if (series.panel == panel) {
      all.push_back(&series);
      if (!series.hidden) {
        shown.push_back(&series);
      }
    }
  }
  return shown.empty() ? all : shown;
}

std::pair<double, double> svg_value_range(const SvgPanel& panel, bool from_zero) {
  ValueRange points;
  ValueRange bars;
  if (from_zero) {
    points.add(0);
  }
  for (const auto* series : panel.series) {
    for (size_t i = 0; i < series->y.size(); ++i) {
      points.add(series->y[i]);
      if (const auto ends = series->interval(i)) {
        bars.add(ends->first);
        bars.add(ends->second);
      }
    }
  }
  for (const auto& line : panel.figure->references) {
    if (line.panel == panel.name && !line.of_x) {
      points.add(line.value);
    }
  }
  if (points.low > points.high) {
    return {0, 1};
  }
  const auto kind = panel.figure->kind;
  const bool curves = !has_bars(kind) && !lies(kind) && kind != FigureKind::kHeat;
  const double span = points.high - points.low;
  const double most = curves && span > 0 ? span : std::numeric_limits<double>::infinity();
  if (kind == FigureKind::kHeat || bars.low > bars.high) {
    return {points.low, points.high};
  }
  return {std::min(points.low, std::max(bars.low, points.low - most)),
          std::max(points.high, std::min(bars.high, points.high + most))};
}

bool cuts_intervals(const Figure& figure) {
  if (has_bars(figure.kind) || lies(figure.kind) || figure.kind == FigureKind::kHeat) {
    return false;
  }
  const auto panels = panels_of(figure);
  return std::any_of(panels.begin(), panels.end(), [&](const std::string& name) {
    const SvgPanel panel{
        .figure = &figure, .name = name, .series = drawn_series(figure, name), .clip_id = ""};
    const auto range = svg_value_range(panel, /*from_zero=*/false);
    return std::any_of(panel.series.begin(), panel.series.end(), [&](const auto* series) {
      for (size_t i = 0; i < series->y.size(); ++i) {
        const auto ends = series->interval(i);
        if (ends && (ends->first < range.first || ends->second > range.second)) {
          return true;
        }
      }
      return false;
    });
  });
}

std::string svg_value_text(const Figure& figure, const FigureSeries& series, size_t i) {
  auto text = fmt::format("{}: {}", series.label, svg_number(series.y[i], 4));
  if (const auto ends = series.interval(i)) {
    text += fmt::format(", {} to {}", svg_number(ends->first, 4), svg_number(ends->second, 4));
  }
  if (figure.x_names.empty()) {
    text += fmt::format(" at {}", svg_number(series.x[i], 4));
  } else if (const auto& name = figure.x_names.at(static_cast<size_t>(series.x[i]));
             name != series.label) {
    text += fmt::format(" ({})", name);
  }
  if (i < series.notes.size() && !series.notes[i].empty() && series.notes[i] != series.label) {
    text += fmt::format(", {}", series.notes[i]);
  }
  return text;
}

}  // namespace loopbank
