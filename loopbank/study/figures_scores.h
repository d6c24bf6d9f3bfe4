#pragma once
/// Figures of what the systems score: by system, by task and by difficulty, and the change against
/// IsoPar beside the paper's.

#include <vector>

#include "loopbank/study/figures.h"

namespace loopbank {

/// Those that the part has the data for.
[[nodiscard]] std::vector<Figure> score_figures(const Json& part);

}  // namespace loopbank
