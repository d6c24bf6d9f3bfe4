#pragma once
/// What changes from step to step, as functions of the step alone, so that there is nothing to
/// save.

#include <cstdint>

#include "loopbank/train/run_config.h"

namespace loopbank {

/// Learning rate of a step, s = step - 1 counted from 0, S = steps.
///
///     one_cycle             cosine from initial to peak over s = 0 .. w S - 1, then cosine to
///                           final at s = S - 1 (w = warmup_fraction); as torch's OneCycleLR
///     warmup_stable_decay   a line from initial to peak over the first w S steps, the peak, and a
///                           line from the peak to final over the last d S steps
///                           (d = decay_fraction)
///
/// A warm-up shorter than a step skips the rise: the first step has the peak rate.
/// @param step  from 1 to steps
[[nodiscard]] double learning_rate_at(const ScheduleConfig& schedule, int64_t step, int64_t steps);

/// Weight of the ponder term in a step: a line from 0 at the first step to `ponder_weight` after
/// w S steps, and `ponder_weight` from there.
///
///     lambda(s) = lambda min(1, s / (w S))        s = step - 1, S = steps, w = warmup_fraction
///
/// @param step  from 1 to steps
[[nodiscard]] double ponder_weight_at(double ponder_weight, double warmup_fraction, int64_t step,
                                      int64_t steps);

}  // namespace loopbank
