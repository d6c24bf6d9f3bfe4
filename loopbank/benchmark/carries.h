#pragma once
/// How many consecutive steps the digits of a sum or product take when they are computed with carries.

#include <cstdint>
#include <vector>

namespace loopbank {

/// Steps behind each digit of the sum of places[i] * 10^i: 1 for the place itself, and where a carry
/// reaches it 1 for each place that the carry takes: the fewest below that come to it by themselves.
/// 95 + 17 = 112: the 2 takes 1; the middle 1 takes 2, its carry being that of 5 + 7; the first 1 takes
/// 2, since 9 + 1 carries whatever is below. In 99 + 1 = 100 the 1 takes 3.
/// @param places  what stands in each place, least first: 0 or more, such as a digit times 7
/// @return one number for each digit of the sum, the least digit first; at least one
[[nodiscard]] std::vector<int64_t> carry_steps(const std::vector<int64_t>& places);

}  // namespace loopbank
