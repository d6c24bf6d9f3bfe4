#pragma once
/// Durations as people write them: 300s, 5min, 1.5h.

#include <string_view>

namespace loopbank {

/// The seconds that a text stands for: a number above 0 followed by its unit, s, min or h.
/// @param where  what the text was given for, for the error: "--time-limit"
/// @throws Error kConfig for anything else, a number without a unit included
[[nodiscard]] double parse_duration(std::string_view where, std::string_view text);

}  // namespace loopbank
