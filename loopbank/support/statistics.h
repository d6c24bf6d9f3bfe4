#pragma once
/// Statistics of a few measured numbers.

#include <vector>

namespace loopbank {

/// The middle value, for an even count the mean of the two in the middle; 0 for none.
[[nodiscard]] double median(std::vector<double> values);

}  // namespace loopbank
