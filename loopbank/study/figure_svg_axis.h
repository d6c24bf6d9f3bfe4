#pragma once
/// The axes of an SVG: which values they reach, where their ticks stand and how these read.

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace loopbank {

/// Values along a line of pixels.
struct SvgAxis {
  double from = 0;  ///< value at `start`
  double to = 1;    ///< value at `end`
  double start = 0;
  double end = 1;
  bool log = false;
  std::vector<double> ticks = {};

  /// The pixel of a value; of one beyond the ends, beyond them.
  [[nodiscard]] double at(double value) const;
};

/// How an axis is laid out.
struct SvgAxisForm {
  double start = 0;  ///< pixel of the least value, of the largest where the axis falls
  double end = 1;
  bool log = false;     ///< of values above 0 alone
  bool falls = false;   ///< from the largest value to the least
  bool counts = false;  ///< whole numbers, a tick each where there is room
  bool padded = true;   ///< with some room beyond the outermost values
  size_t most_ticks = 6;
};

/// An axis that reaches the values between low and high; equal ones stand in its middle.
[[nodiscard]] SvgAxis make_svg_axis(double low, double high, const SvgAxisForm& form);

/// `0.25`, `1.5`, `12 k`, with a minus sign that is one.
[[nodiscard]] std::string svg_number(double value);

}  // namespace loopbank
