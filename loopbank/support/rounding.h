#pragma once
/// Whole numbers cut into steps and parts.

#include <concepts>

namespace loopbank {

/// How many steps n takes, the last one perhaps not whole.
template <std::integral T>
[[nodiscard]] constexpr T divide_up(T n, T step) {
  return (n + step - 1) / step;
}

/// The smallest multiple of `step` from n on.
template <std::integral T>
[[nodiscard]] constexpr T round_up(T n, T step) {
  return divide_up(n, step) * step;
}

/// The size of parts of n, in whole steps, that are all about as large: the fewest parts of at most
/// `most`. Rounded up to a step a part may exceed that.
template <std::integral T>
[[nodiscard]] constexpr T equal_parts(T n, T most, T step = 1) {
  return round_up(divide_up(n, divide_up(n, most)), step);
}

}  // namespace loopbank
