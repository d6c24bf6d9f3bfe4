#pragma once
/// The systems of a sweep over the weight of the ponder term.

#include <vector>

#include "loopbank/study/results.h"

namespace loopbank {

/// The sweep's systems by rising weight, with those of the paper that are its end without a weight.
[[nodiscard]] std::vector<const SystemResult*> ponder_sweep(const PartResult& part);

}  // namespace loopbank
