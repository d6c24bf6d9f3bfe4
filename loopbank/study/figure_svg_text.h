#pragma once
/// What an SVG is written with: words, marks, lines and colours.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace loopbank {

inline constexpr const char* kSvgInk = "#1d2126";
inline constexpr const char* kSvgQuiet = "#5b626a";
inline constexpr const char* kSvgLine = "#e3dfd8";

/// Pixels that a text in regular weight takes; a bold one takes a ninth more; an estimate that errs on the wide side, since each viewer has its own
/// font.
[[nodiscard]] double svg_text_width(std::string_view text, double size);

/// Lines of at most so many pixels, broken at blanks; a longer word has a line of its own.
[[nodiscard]] std::vector<std::string> svg_wrapped(std::string_view text, double width,
                                                   double size);

/// The text cut to so many pixels, with an ellipsis.
[[nodiscard]] std::string svg_cut(std::string_view text, double width, double size);

/// `#0a4f8f` of a name in the palette by day (serve/page/palette.css), `ramp:0.5` likewise; the
/// quiet ink for a name that it does not have.
[[nodiscard]] std::string svg_color(std::string_view name);

/// The dashes of a colour's line, as SVG writes them; empty: an unbroken one.
[[nodiscard]] std::string_view svg_dashes(std::string_view color);

/// Which of the marks and dashes a system has within its family: the number behind its colour.
[[nodiscard]] size_t svg_place(std::string_view color);

struct SvgText {
  double size = 12;
  std::string_view anchor = "start";
  std::string_view color = kSvgInk;
  bool bold = false;
};

/// A mark at a point.
struct SvgMark {
  size_t shape = 0;  ///< by svg_place
  double radius = 4;
  std::string color;
  bool hollow = false;
  std::string title = {};  ///< its value in words
};

struct SvgStroke {
  std::string_view color = kSvgLine;
  double width = 1;
  std::string_view dashes = "";
};

/// Elements one after another.
class SvgWriter {
 public:
  void text(double x, double y, std::string_view words, const SvgText& style = {});
  void line(double x1, double y1, double x2, double y2, const SvgStroke& stroke = {});
  /// @param points  x and y of each
  void path(const std::vector<std::pair<double, double>>& points, const SvgStroke& stroke);
  void area(const std::vector<std::pair<double, double>>& points, std::string_view color,
            double opacity);
  void rect(double x, double y, double width, double height, std::string_view fill,
            std::string_view title = "", double opacity = 1);
  void mark(double x, double y, const SvgMark& mark);
  /// Markup as it is.
  void raw(std::string_view markup) { out_ += markup; }

  [[nodiscard]] const std::string& elements() const { return out_; }

 private:
  std::string out_;
};

/// Text that may stand in an element or an attribute.
[[nodiscard]] std::string svg_escaped(std::string_view text);

}  // namespace loopbank
