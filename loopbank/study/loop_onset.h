#pragma once
/// When a model begins to use its loops: the phase transition of the paper, whose loops grow only
/// once the validation loss has fallen under 3.27 +- 0.59.
///
///     onset    the first validation, at or behind the one with the fewest mean loops, whose mean loops
///              lie a tenth of the later range above those fewest
///
/// A run whose mean loops rise by less than kLeastLoopGrowth behind their minimum has none: they wander.

#include <cstdint>
#include <optional>
#include <vector>

#include "loopbank/study/results.h"

namespace loopbank {

inline constexpr double kLeastLoopGrowth = 0.05;
inline constexpr double kOnsetShare = 0.1;

struct LoopOnset {
  int64_t seed = 0;
  int64_t step = 0;
  double validation_loss = 0.0;  ///< nats a token
  double mean_loops = 1.0;
};

/// Nothing where loops do not grow, or fewer than three validations tell.
[[nodiscard]] std::optional<LoopOnset> loop_onset(const TrainingCurve& curve);

/// Of the seeds of a system whose loops grow, in their order.
[[nodiscard]] std::vector<LoopOnset> loop_onsets(const SystemResult& system);

}  // namespace loopbank
