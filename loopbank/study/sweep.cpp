#include "loopbank/study/sweep.h"

#include <algorithm>

namespace loopbank {

std::vector<const SystemResult*> alike_in_shape(const PartResult& part,
                                                const SystemResult& system) {
  std::vector<const SystemResult*> alike;
  for (const auto& other : part.systems) {
    if (other.group == "paper" && other.loops > 0 && other.loops == system.loops &&
        other.layers == system.layers && other.hidden_size == system.hidden_size &&
        other.local_slots + other.global_slots == system.local_slots + system.global_slots) {
      alike.push_back(&other);
    }
  }
  return alike;
}

std::vector<const SystemResult*> sweep_of(const PartResult& part, std::string_view group,
                                          double SystemResult::*value) {
  std::vector<const SystemResult*> sweep;
  for (const auto& system : part.systems) {
    if (system.group == group) {
      sweep.push_back(&system);
    }
  }
  std::vector<const SystemResult*> ends;
  for (const auto* system : sweep) {
    for (const auto* other : alike_in_shape(part, *system)) {
      if (std::find(ends.begin(), ends.end(), other) == ends.end()) {
        ends.push_back(other);
      }
    }
  }
  sweep.insert(sweep.begin(), ends.begin(), ends.end());
  std::stable_sort(sweep.begin(), sweep.end(), [&](const SystemResult* a, const SystemResult* b) {
    return a->*value < b->*value;
  });
  return sweep;
}

}  // namespace loopbank
