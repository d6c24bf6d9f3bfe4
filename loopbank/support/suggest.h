#pragma once
/// "Did you mean": the nearest known name to a mistyped one.

#include <string>
#include <string_view>
#include <vector>

namespace loopbank {

/// Number of insertions, deletions, substitutions and swaps of neighbours that turn a into b.
[[nodiscard]] int edit_distance(std::string_view a, std::string_view b);

/// ` Did you mean "max_loops"?` for the known name nearest to `name`, or a list of the known names
/// if none is near (a distance above a third of the length, and above 1).
[[nodiscard]] std::string suggestion(std::string_view name, const std::vector<std::string>& known);

}  // namespace loopbank
