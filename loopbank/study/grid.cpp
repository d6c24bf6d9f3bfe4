#include "loopbank/study/grid.h"

#include <algorithm>
#include <set>

namespace loopbank {

std::vector<GridCell> grid_of(const PartResult& part) {
  std::vector<GridCell> cells;
  std::set<int64_t> rows;
  std::set<int64_t> columns;
  for (const bool own : {true, false}) {
    for (const auto& system : part.systems) {
      if (system.group != (own ? "grid" : "paper")) {
        continue;
      }
      const GridCell cell{system.loops, system.local_slots + system.global_slots, &system};
      const auto before = std::find_if(cells.begin(), cells.end(), [&](const GridCell& other) {
        return cell.loops == other.loops && cell.slots == other.slots;
      });
      // The paper's systems fill rows and columns of the grid, and the column without memory.
      const bool fits = own || (system.loops > 0 && rows.contains(cell.loops) &&
                                (cell.slots == 0 || columns.contains(cell.slots)));
      if (fits && before == cells.end()) {
        cells.push_back(cell);
        if (own) {
          rows.insert(cell.loops);
          columns.insert(cell.slots);
        }
      } else if (fits && before->system->group == "paper") {
        before->system = &system;  // the last of the paper's: gates that start open
      }
    }
  }
  return cells;
}

}  // namespace loopbank
