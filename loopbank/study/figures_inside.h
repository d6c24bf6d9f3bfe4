#pragma once
/// Figures of the inner life of the models: how often each layer loops, how far its gates open,
/// what a loop does to the state, and for which tokens.

#include <vector>

#include "loopbank/study/figures.h"

namespace loopbank {

/// Those that the part has the data for.
[[nodiscard]] std::vector<Figure> inside_figures(const Json& part);

}  // namespace loopbank
