#pragma once
/// Figures of what a score costs: loops, the weight of the ponder term, parameters, memory slots.

#include <vector>

#include "loopbank/study/figures.h"

namespace loopbank {

/// Those that the part has the data for.
[[nodiscard]] std::vector<Figure> cost_figures(const Json& part);

/// A cell of the grid of loops and memory slots.
struct GridCell {
  double loops = 0.0;
  double slots = 0.0;  ///< local and global together
  const Json* system = nullptr;
};

/// The part's grid: its own systems and, where they fit into a row and column of it, the paper's.
/// Empty where no system was trained for it.
[[nodiscard]] std::vector<GridCell> grid_of(const Json& part);

}  // namespace loopbank
