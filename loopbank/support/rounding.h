#pragma once
/// Whole numbers divided into steps and parts.

#include <concepts>

namespace loopbank {

/// The number of steps that cover n, the last of which may be partial.
template <std::integral T>
[[nodiscard]] constexpr T divide_up(T n, T step) {
  return (n + step - 1) / step;
}

/// The smallest multiple of `step` that is at least n.
template <std::integral T>
[[nodiscard]] constexpr T round_up(T n, T step) {
  return divide_up(n, step) * step;
}

/// The size of n's parts, in whole steps, when it is divided into the fewest nearly equal parts of
/// at most `most`. Rounded up to a step, a part may exceed that.
template <std::integral T>
[[nodiscard]] constexpr T equal_parts(T n, T most, T step = 1) {
  return round_up(divide_up(n, divide_up(n, most)), step);
}

}  // namespace loopbank
