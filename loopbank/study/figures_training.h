#pragma once
/// Figures of how the systems trained: validation loss, and when the layers began to loop and to
/// open their gates.

#include <vector>

#include "loopbank/study/figures.h"

namespace loopbank {

/// Those that the part has the data for. Several seeds are averaged step by step.
[[nodiscard]] std::vector<Figure> training_figures(const Json& part);

}  // namespace loopbank
