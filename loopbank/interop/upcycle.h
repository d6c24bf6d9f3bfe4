#pragma once
/// A dense model given loops and memory: it computes what it did before, and can learn to think on.
///
///     scales (linear)      1, 0, 0, ...     every h^(t) equals h^(1), whatever the router says
///     W_L = W_G            0                memory(h) = 0
///
/// so y = f(x; 1). Nothing in it is dead: scales and projections have a gradient at the first step;
/// router, gates, keys and values once those have moved (SPEC 6, further config keys).

#include <cstdint>

#include "loopbank/model/language_model.h"

namespace loopbank {

struct UpcycleOptions {
  IntOrList max_loops = 0;  ///< N of each layer; 0: dense, as it is
  int64_t local_slots = 0;
  int64_t global_slots = 0;
  double gate_init = 0.0;  ///< g0, first bias of the memory gates
  uint64_t seed = 1;       ///< of the new parameters' values
};

/// @param dense  a model without loops, on the CPU
/// @throws Error kConfig for a model that has loops, or options that a config would not take
[[nodiscard]] LanguageModel upcycled(const LanguageModel& dense, const UpcycleOptions& options);

}  // namespace loopbank
