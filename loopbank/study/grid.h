#pragma once
/// The grid of loops and memory slots: which system stands in which cell.

#include <cstdint>
#include <vector>

#include "loopbank/study/results.h"

namespace loopbank {

struct GridCell {
  int64_t loops = 0;
  int64_t slots = 0;  ///< local and global together
  const SystemResult* system = nullptr;
};

/// The part's grid: its own systems and, where they fit into a row and column of it, the paper's.
/// Empty where no system was trained for it.
[[nodiscard]] std::vector<GridCell> grid_of(const PartResult& part);

}  // namespace loopbank
