#include "loopbank/study/figure_svg_text.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "loopbank/study/page_files.h"

namespace loopbank {
namespace {

constexpr std::array<std::string_view, 4> kDashPatterns = {"", "7 3", "2 3", "9 3 2 3"};

/// Shares of the size, of a wide sans serif.
double share_of_size(unsigned char letter) {
  constexpr std::string_view kNarrow = "iljtfrI.,:;'|!()[]/ -";
  constexpr std::string_view kWide = "mwMW%@";
  if (kNarrow.find(static_cast<char>(letter)) != std::string_view::npos) {
    return 0.38;
  }
  if (kWide.find(static_cast<char>(letter)) != std::string_view::npos) {
    return 0.95;
  }
  return letter >= 'A' && letter <= 'Z' ? 0.70 : 0.61;
}

bool goes_on(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

/// `#0a4f8f` behind `--name:` of the first block, which is that of the day; empty for none.
std::string_view palette_entry(std::string_view name) {
  const auto wanted = fmt::format("--{}: #", name);
  const auto found = kPageCss.find(wanted);
  return found == std::string_view::npos ? "" : kPageCss.substr(found + wanted.size() - 1, 7);
}

unsigned channel_of(std::string_view color, size_t i) {
  unsigned value = 0;
  const auto* first = color.data() + 1 + 2 * i;
  std::from_chars(first, first + 2, value, 16);
  return value;
}

std::string attributes_of(const SvgStroke& stroke) {
  return fmt::format(
      "stroke=\"{}\" stroke-width=\"{:g}\"{}", stroke.color, stroke.width,
      stroke.dashes.empty() ? "" : fmt::format(" stroke-dasharray=\"{}\"", stroke.dashes));
}

std::string d_of(const std::vector<std::pair<double, double>>& points) {
  std::string d;
  for (const auto& [x, y] : points) {
    d += fmt::format("{}{:.1f} {:.1f}", d.empty() ? "M" : "L", x, y);
  }
  return d;
}

std::string title_element(std::string_view title) {
  return title.empty() ? "" : fmt::format("<title>{}</title>", svg_escaped(title));
}

}  // namespace

std::string svg_escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '&':
        safe += "&amp;";
        break;
      case '"':
        safe += "&quot;";
        break;
      default:
        // XML has no place for other control characters, however they are written.
        safe += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return safe;
}

double svg_text_width(std::string_view text, double size) {
  double width = 0;
  for (const char c : text) {
    width += goes_on(c) ? 0 : share_of_size(static_cast<unsigned char>(c)) * size;
  }
  return width;
}

std::vector<std::string> svg_wrapped(std::string_view text, double width, double size) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    const auto word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty()) {
      continue;
    }
    const auto longer =
        lines.empty() ? std::string(word) : fmt::format("{} {}", lines.back(), word);
    if (!lines.empty() && svg_text_width(longer, size) <= width) {
      lines.back() = longer;
    } else {
      lines.emplace_back(word);
    }
  }
  return lines;
}

std::string svg_cut(std::string_view text, double width, double size) {
  if (svg_text_width(text, size) <= width) {
    return std::string(text);
  }
  while (!text.empty() && (goes_on(text.back()) || svg_text_width(text, size) > width - size)) {
    text.remove_suffix(1);
  }
  return std::string(text) + "...";
}

std::string svg_color(std::string_view name) {
  const auto colon = name.find(':');
  if (colon == std::string_view::npos) {
    const auto entry = palette_entry(name);
    return std::string(entry.empty() ? std::string_view(kSvgQuiet) : entry);
  }
  const auto ramp = name.substr(0, colon);
  const auto from = palette_entry(fmt::format("{}-from", ramp));
  const auto to = palette_entry(fmt::format("{}-to", ramp));
  if (from.empty() || to.empty()) {
    return kSvgQuiet;
  }
  const double share = std::atof(std::string(name.substr(colon + 1)).c_str());
  std::string color = "#";
  for (size_t i = 0; i < 3; ++i) {
    const auto a = static_cast<double>(channel_of(from, i));
    const auto b = static_cast<double>(channel_of(to, i));
    color += fmt::format("{:02x}", static_cast<unsigned>(std::lround(a + (b - a) * share)));
  }
  return color;
}

size_t svg_place(std::string_view color) {
  const auto dash = color.rfind('-');
  size_t place = 0;
  if (dash != std::string_view::npos) {
    std::from_chars(color.data() + dash + 1, color.data() + color.size(), place);
  }
  return place;
}

std::string_view svg_dashes(std::string_view color) {
  return color.starts_with("second") ? "5 3"
                                     : kDashPatterns[svg_place(color) % kDashPatterns.size()];
}

void SvgWriter::text(double x, double y, std::string_view words, const SvgText& style) {
  out_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{:g}\" fill=\"{}\"", x, y,
                      style.size, style.color);
  out_ += style.anchor == "start" ? "" : fmt::format(" text-anchor=\"{}\"", style.anchor);
  out_ += style.bold ? " font-weight=\"bold\"" : "";
  out_ += fmt::format(">{}</text>\n", svg_escaped(words));
}

void SvgWriter::line(double x1, double y1, double x2, double y2, const SvgStroke& stroke) {
  path({{x1, y1}, {x2, y2}}, stroke);
}

void SvgWriter::path(const std::vector<std::pair<double, double>>& points,
                     const SvgStroke& stroke) {
  out_ += fmt::format("<path d=\"{}\" fill=\"none\" {}/>\n", d_of(points), attributes_of(stroke));
}

void SvgWriter::area(const std::vector<std::pair<double, double>>& points, std::string_view color,
                     double opacity) {
  out_ += fmt::format("<path d=\"{}Z\" fill=\"{}\" fill-opacity=\"{:g}\"/>\n", d_of(points), color,
                      opacity);
}

void SvgWriter::rect(double x, double y, double width, double height, std::string_view fill,
                     std::string_view title, double opacity) {
  out_ +=
      fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"",
                  x, y, width, height, fill);
  out_ += opacity == 1 ? "" : fmt::format(" fill-opacity=\"{:.3g}\"", opacity);
  out_ += title.empty() ? "/>\n" : fmt::format(">{}</rect>\n", title_element(title));
}

void SvgWriter::mark(double x, double y, const SvgMark& mark) {
  const double r = mark.radius;
  const auto style = fmt::format("fill=\"{}\" stroke=\"{}\" stroke-width=\"1.5\"",
                                 mark.hollow ? "#ffffff" : mark.color, mark.color);
  const auto shape = [&](std::vector<std::pair<double, double>> corners) {
    for (auto& [a, b] : corners) {
      a = x + r * a;
      b = y + r * b;
    }
    out_ += fmt::format("<path d=\"{}Z\" {}>{}</path>\n", d_of(corners), style,
                        title_element(mark.title));
  };
  switch (mark.shape % 4) {
    case 1:
      shape({{0, -1.2}, {1.2, 0}, {0, 1.2}, {-1.2, 0}});
      break;
    case 2:
      shape({{0, -1.15}, {1.1, 0.85}, {-1.1, 0.85}});
      break;
    case 3:
      shape({{-0.9, -0.9}, {0.9, -0.9}, {0.9, 0.9}, {-0.9, 0.9}});
      break;
    default:
      out_ += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:g}\" {}>{}</circle>\n", x, y,
                          r, style, title_element(mark.title));
  }
}

}  // namespace loopbank
