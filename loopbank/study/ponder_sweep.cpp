#include "loopbank/study/ponder_sweep.h"

#include <algorithm>

namespace loopbank {

std::vector<const SystemResult*> ponder_sweep(const PartResult& part) {
  std::vector<const SystemResult*> sweep;
  std::vector<const SystemResult*> ends;
  for (const auto& system : part.systems) {
    if (system.group == "ponder") {
      sweep.push_back(&system);
    }
  }
  for (const auto& system : part.systems) {
    const bool alike = std::any_of(sweep.begin(), sweep.end(), [&](const SystemResult* other) {
      return other->loops == system.loops && other->layers == system.layers &&
             other->local_slots + other->global_slots == system.local_slots + system.global_slots;
    });
    if (alike && system.group == "paper" && system.loops > 0) {
      ends.push_back(&system);
    }
  }
  sweep.insert(sweep.begin(), ends.begin(), ends.end());
  std::stable_sort(sweep.begin(), sweep.end(), [](const SystemResult* a, const SystemResult* b) {
    return a->ponder_weight < b->ponder_weight;
  });
  return sweep;
}

}  // namespace loopbank
