#include "loopbank/study/figure_svg_axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

namespace loopbank {
namespace {

constexpr double kPadding = 0.06;
/// Ends that are nearer to each other than this share of themselves differ by rounding.
constexpr double kRoundingShare = 1e-9;

bool is_wide(double low, double high) {
  return high - low > kRoundingShare * std::max(std::abs(low), std::abs(high));
}

/// 1, 2 or 5 times a power of ten: the least step with so many ticks at most.
double tick_step(double span, size_t most) {
  const double rough = span / static_cast<double>(std::max<size_t>(most, 2) - 1);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * (1 - 1e-9)) {
      return factor * power;
    }
  }
  return 10 * power;
}

std::vector<double> linear_ticks(double low, double high, const SvgAxisForm& form) {
  auto step = tick_step(high - low, form.most_ticks);
  step = form.counts ? std::max(1.0, std::round(step)) : step;
  std::vector<double> ticks;
  // Counted, since far from 0 a step more may be no other number.
  const double first = std::ceil(low / step - 1e-9);
  const auto count = static_cast<int64_t>(std::floor(high / step + 1e-9) - first) + 1;
  for (int64_t i = 0; i < count; ++i) {
    ticks.push_back((first + static_cast<double>(i)) * step);
  }
  return ticks;
}

/// Powers of ten with what lies between them, the sparsest set that has three ticks.
std::vector<double> log_ticks(double low, double high, size_t most) {
  static const std::array<std::vector<double>, 3> kWithinADecade = {
      {{1.0}, {1.0, 3.0}, {1.0, 2.0, 5.0}}};
  std::vector<double> ticks;
  for (const auto& factors : kWithinADecade) {
    ticks.clear();
    for (double power = std::floor(std::log10(low)); power <= std::log10(high); power += 1) {
      for (const double factor : factors) {
        const double tick = factor * std::pow(10.0, power);
        if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) {
          ticks.push_back(tick);
        }
      }
    }
    if (ticks.size() >= 3) {
      break;
    }
  }
  // Within less than a factor of ten or so, round numbers serve better.
  if (ticks.size() < 3) {
    ticks = linear_ticks(low, high, {.most_ticks = most});
  }
  const size_t every = (ticks.size() + most - 1) / std::max<size_t>(most, 1);
  std::vector<double> kept;
  for (size_t i = 0; i < ticks.size(); i += std::max<size_t>(every, 1)) {
    kept.push_back(ticks[i]);
  }
  return kept;
}

}  // namespace

double SvgAxis::at(double value) const {
  const double share =
      log ? std::log(value / from) / std::log(to / from) : (value - from) / (to - from);
  return start + share * (end - start);
}

SvgAxis make_svg_axis(double low, double high, const SvgAxisForm& form) {
  SvgAxis axis{.from = low, .to = high, .start = form.start, .end = form.end, .log = form.log};
  if (form.log) {
    const double factor =
        is_wide(low, high) ? std::pow(high / low, form.padded ? kPadding / 2 : 0.0) : 1.5;
    axis.from = low / factor;
    axis.to = high * factor;
    axis.ticks = log_ticks(axis.from, axis.to, form.most_ticks);
  } else {
    // A counted axis keeps its outermost points off the frame.
    const double room = is_wide(low, high) ? (high - low) * (form.padded ? kPadding : 0.0)
                                           : std::max(std::abs(high) * 0.1, 1e-3);
    axis.from = low - (form.counts ? std::max(room, 0.15) : room);
    axis.to = high + (form.counts ? std::max(room, 0.15) : room);
    axis.ticks = linear_ticks(axis.from, axis.to, form);
  }
  if (form.falls) {
    std::swap(axis.from, axis.to);
  }
  return axis;
}

std::string svg_number(double value, int digits) {
  constexpr std::array<std::string_view, 5> kSuffixes = {"", " k", " M", " G", " T"};
  if (!std::isfinite(value)) {
    return "";
  }
  double scaled = std::abs(value);
  size_t suffix = 0;
  while (scaled >= (suffix == 0 ? 9999.5 : 999.95) && suffix + 1 < kSuffixes.size()) {
    scaled /= 1000;
    ++suffix;
  }
  const auto text = scaled >= 1000 || (scaled != 0 && scaled < 1e-4)
                        ? fmt::format("{:.4g}", scaled)
                        : fmt::format("{:.{}g}", scaled, digits);
  return fmt::format("{}{}{}", value < 0 && text != "0" ? "\u2212" : "", text, kSuffixes[suffix]);
}

}  // namespace loopbank
