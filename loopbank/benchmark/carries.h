#pragma once
/// How many consecutive steps the digits of a sum or product take when they are computed with carries.

#include <cstdint>
#include <vector>

namespace loopbank {

/// Steps behind each digit of the sum of places[i] * 10^i: 1 for the place itself, and 1 for each place
/// below without whose carry the digit would be another, back to where that carry is sure of itself.
/// 95 + 17 = 112: the 2 takes 1, the middle 1 takes 2 (its carry comes from 5 + 7), the first 1 takes 2
/// (9 + 1 gives it without the carry from below).
/// @param places  what stands in each place, least first: 0 or more, such as a digit times 7
/// @return one number for each digit of the sum, the least digit first; at least one
[[nodiscard]] std::vector<int64_t> carry_steps(const std::vector<int64_t>& places);

}  // namespace loopbank
