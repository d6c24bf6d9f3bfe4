#pragma once
/// What the results of a study of exits say together.

#include "loopbank/study/exit_study.h"

namespace loopbank {

/// Marks the results that no other of the same place beats in bits per byte and in cost at once.
void mark_fronts(ExitStudy& study);

/// Compares at `full`: the trained gate (cdf) with the rules that need none (change, accel) where
/// their FLOPs are within 3 % of each other, and each soft rule with its hard variant.
void compare_exits(ExitStudy& study);

}  // namespace loopbank
