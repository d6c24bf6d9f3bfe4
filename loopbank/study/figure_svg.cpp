#include "loopbank/study/figure_svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "loopbank/study/figure_svg_panel.h"
#include "loopbank/study/figure_svg_range.h"
#include "loopbank/study/figure_svg_text.h"
#include "loopbank/study/figure_words.h"

namespace loopbank {
namespace {

constexpr double kWidth = 860;
constexpr double kEdge = 16;
constexpr double kGap = 26;  // between panels in a row
constexpr double kLegendRow = 20;
constexpr double kBelowFrame = 20;  // numbers of the x axis
constexpr double kTitleOfX = 18;
constexpr double kCaptionSize = 12;
constexpr size_t kMostStandingNames =
    6;  // of standing bars, beyond which a panel takes the whole width

constexpr size_t kMostNamed = 8;  // of those that are not drawn

using Drawn = std::vector<const FigureSeries*>;

/// Series with a key, each label once.
Drawn keys_of(const Drawn& series) {
  Drawn keys;
  for (const auto* one : series) {
    if (std::none_of(keys.begin(), keys.end(),
                     [&](const FigureSeries* other) { return other->label == one->label; })) {
      keys.push_back(one);
    }
  }
  return keys;
}

bool has_keys(const Figure& figure) {
  return figure.kind != FigureKind::kDots && figure.kind != FigureKind::kHeat;
}

/// Whether one row of keys serves all panels: a label has the same colour wherever it stands, and
/// most labels stand in each of them.
bool share_keys(const Figure& figure, const std::vector<std::string>& panels) {
  std::map<std::string, std::string> colors;
  size_t most = 0;
  for (const auto& panel : panels) {
    const auto keys = keys_of(drawn_series(figure, panel));
    most = std::max(most, keys.size());
    for (const auto* series : keys) {
      const auto& color = colors.try_emplace(series->label, series->color).first->second;
      if (color != series->color) {
        return false;
      }
    }
  }
  return colors.size() <= most + 3;
}

/// Where the keys stand in lines of a width.
struct KeyPlace {
  const FigureSeries* series;
  double x;
  size_t line;
};

std::vector<KeyPlace> place_keys(const Drawn& keys, double left, double width) {
  std::vector<KeyPlace> places;
  double x = left;
  size_t line = 0;
  for (const auto* series : keys) {
    const double needed = 30 + svg_text_width(series->label, 11.5) + 14;
    if (x > left && x + needed > left + width) {
      x = left;
      ++line;
    }
    places.push_back({series, x, line});
    x += needed;
  }
  return places;
}

double height_of(const std::vector<KeyPlace>& places) {
  return places.empty() ? 0 : kLegendRow * static_cast<double>(places.back().line + 1);
}

void draw_keys(SvgWriter& out, const std::vector<KeyPlace>& places, double top, FigureKind kind) {
  for (const auto& [series, x, line] : places) {
    const double y = top + kLegendRow * static_cast<double>(line) + 13;
    draw_svg_key(out, x, y, *series, kind);
    out.text(x + 30, y, series->label, {.size = 11.5});
  }
}

/// Whether a panel has so many keys of its own that it takes half the width.
bool has_many_keys(const Figure& figure, const std::vector<std::string>& panels) {
  return !share_keys(figure, panels) && has_keys(figure) &&
         std::any_of(panels.begin(), panels.end(), [&](const std::string& panel) {
           return keys_of(drawn_series(figure, panel)).size() > 4;
         });
}

size_t panels_in_a_row(const Figure& figure, const std::vector<std::string>& names) {
  const size_t panels = names.size();
  if (panels == 1 ||
      (figure.kind == FigureKind::kBars && figure.x_names.size() > kMostStandingNames)) {
    return 1;
  }
  if (lies(figure.kind) || figure.kind == FigureKind::kHeat || panels <= 4 ||
      has_many_keys(figure, names)) {
    return 2;
  }
  return 3;
}

/// With the signs that are meant: plus-minus, and minus before a number.
std::string with_signs(std::string_view text) {
  std::string written;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool digit_follows = i + 1 < text.size() && text[i + 1] >= '0' && text[i + 1] <= '9';
    const bool begins = i == 0 || text[i - 1] == ' ' || text[i - 1] == '(' || text[i - 1] == '[';
    if (text.substr(i, 2) == "+-") {
      written += "\u00b1";
      ++i;
    } else if (text[i] == '-' && digit_follows && begins) {
      written += "\u2212";
    } else {
      written += text[i];
    }
  }
  return written;
}

double draw_lines_of_text(SvgWriter& out, double top, std::string_view text, const SvgText& style) {
  for (const auto& line : svg_wrapped(with_signs(text), kWidth - 2 * kEdge, style.size)) {
    top += style.size + 5;
    out.text(kEdge, top, line, style);
  }
  return top;
}

/// What the page shows on request only.
std::string left_out(const Figure& figure, const std::vector<std::string>& panels) {
  std::set<std::string> drawn;
  std::vector<std::string> names;
  for (const auto& panel : panels) {
    for (const auto* series : drawn_series(figure, panel)) {
      drawn.insert(series->label);
    }
  }
  for (const auto& series : figure.series) {
    if (!drawn.contains(series.label) &&
        std::find(names.begin(), names.end(), series.label) == names.end()) {
      names.push_back(series.label);
    }
  }
  if (names.size() > kMostNamed) {
    const auto others = names.size() - kMostNamed + 1;
    names.resize(kMostNamed - 1);
    names.push_back(fmt::format("{} others", others));
  }
  return names.empty() ? "" : fmt::format("In the CSV alone: {}.", listed(names));
}

/// The panels of a figure below each other in rows.
class PanelRows {
 public:
  PanelRows(SvgWriter& out, const Figure& figure, std::vector<std::string> panels)
      : out_(out),
        figure_(figure),
        panels_(std::move(panels)),
        in_a_row_(panels_in_a_row(figure, panels_)),
        shared_(share_keys(figure, panels_)) {
    // Names stand left of a row's first panel alone, numbers at each.
    named_once_ = lies(figure.kind) || figure.kind == FigureKind::kHeat;
  }

  /// @return where the next thing may begin
  double draw(double top) {
    if (shared_ && has_keys(figure_)) {
      Drawn all;
      for (const auto& panel : panels_) {
        const auto series = drawn_series(figure_, panel);
        all.insert(all.end(), series.begin(), series.end());
      }
      const auto keys = keys_of(all);
      if (keys.size() > 1) {
        const auto places = place_keys(keys, kEdge, kWidth - 2 * kEdge);
        draw_keys(out_, places, top, figure_.kind);
        top += height_of(places) + 4;
      }
    }
    for (size_t first = 0; first < panels_.size(); first += in_a_row_) {
      top = draw_row(first, std::min(first + in_a_row_, panels_.size()), top);
    }
    return top;
  }

 private:
  [[nodiscard]] SvgFrame frame_of(size_t column, double top) const {
    const double margin = svg_panel_margin(figure_);
    const auto count = static_cast<double>(in_a_row_);
    const double margins = named_once_ ? margin : margin * count;
    const double width = (kWidth - 2 * kEdge - 8 - margins - kGap * (count - 1)) / count;
    const auto place = static_cast<double>(column);
    const double left =
        kEdge + margin + place * (width + kGap) + (named_once_ ? 0 : place * margin);
    return {left, top, left + width, top + svg_panel_height(figure_, in_a_row_)};
  }

  /// Room below a frame for the names of standing bars, or for numbers.
  [[nodiscard]] double below(const SvgFrame& frame) const {
    size_t lines = 1;
    if (figure_.kind == FigureKind::kBars || figure_.kind == FigureKind::kStack) {
      const double place =
          frame.width() / static_cast<double>(std::max<size_t>(figure_.x_names.size(), 1));
      for (const auto& name : figure_.x_names) {
        lines = std::max(lines, svg_wrapped(name, place - 4, 11).size());
      }
    }
    return kBelowFrame + 12.0 * static_cast<double>(lines - 1);
  }

  double draw_row(size_t first, size_t end, double top) {
    std::vector<std::vector<KeyPlace>> keys;
    double heading = 10;
    double legend = 0;
    for (size_t i = first; i < end; ++i) {
      const auto frame = frame_of(i - first, 0);
      heading = panels_[i].empty() ? heading : 26;
      auto own =
          shared_ || !has_keys(figure_) ? Drawn() : keys_of(drawn_series(figure_, panels_[i]));
      keys.push_back(place_keys(own.size() > 1 ? own : Drawn(), frame.left, frame.width()));
      legend = std::max(legend, height_of(keys.back()));
    }
    double bottom = top;
    for (size_t i = first; i < end; ++i) {
      const auto frame = frame_of(i - first, top + heading + legend);
      if (!panels_[i].empty()) {
        out_.text((frame.left + frame.right) / 2, top + 15,
                  svg_cut(panels_[i], frame.width() + 30, 12.5),
                  {.size = 12.5, .anchor = "middle", .bold = true});
      }
      draw_keys(out_, keys[i - first], top + heading - 4, figure_.kind);
      draw_svg_panel(out_,
                     {.figure = &figure_,
                      .name = panels_[i],
                      .series = drawn_series(figure_, panels_[i]),
                      .names = i == first || !named_once_,
                      .clip_id = fmt::format("{}-{}", figure_.id, i)},
                     frame);
      const auto& title = lies(figure_.kind) ? figure_.y_title : figure_.x_title;
      const double title_top = frame.bottom + below(frame) + 12;
      out_.text((frame.left + frame.right) / 2, title_top, svg_cut(title, frame.width() + 40, 11.5),
                {.size = 11.5, .anchor = "middle", .color = kSvgQuiet});
      bottom = std::max(bottom, title_top - 12 + kTitleOfX);
    }
    return bottom + 8;
  }

  SvgWriter& out_;
  const Figure& figure_;
  std::vector<std::string> panels_;
  size_t in_a_row_;
  bool shared_;
  bool named_once_ = false;
};

}  // namespace

std::string figure_svg(const Figure& figure) {
  SvgWriter out;
  const auto panels = panels_of(figure);
  double top = draw_lines_of_text(out, 8, figure.title, {.size = 16, .bold = true}) + 10;
  top = PanelRows(out, figure, panels).draw(top);
  auto caption = figure.caption;
  if (!figure.error_label.empty() && caption.find(figure.error_label) == std::string::npos) {
    caption += fmt::format(" {}: {}.",
                           figure.kind == FigureKind::kLines  ? "Bands"
                           : figure.kind == FigureKind::kHeat ? "Below each value"
                                                              : "Bars",
                           figure.error_label);
  }
  const auto rest = left_out(figure, panels);
  caption += rest.empty() ? "" : " " + rest;
  top = draw_lines_of_text(out, top, caption, {.size = kCaptionSize, .color = kSvgQuiet});
  if (!figure.conclusion.empty()) {
    top = draw_lines_of_text(out, top + 5, figure.conclusion, {.size = 12.5});
  }
  const double height = top + 14;
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:g}\" height=\"{1:.0f}\" "
      "viewBox=\"0 0 {0:g} {1:.0f}\" role=\"img\" font-family=\"Helvetica, Arial, 'Liberation "
      "Sans', 'DejaVu Sans', sans-serif\">\n<title>{2}</title>\n<desc>{3}{4}{5}</desc>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{6}</svg>\n",
      kWidth, height, svg_escaped(figure.title), svg_escaped(figure.caption),
      figure.conclusion.empty() ? "" : " ", svg_escaped(figure.conclusion), out.elements());
}

}  // namespace loopbank
