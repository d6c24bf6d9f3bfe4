#pragma once
/// What a training step over several ranks is made of, measured part by part on the ranks themselves:
/// what `loopbank bench ranks` shows and its prediction takes.

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "loopbank/data/sampler.h"
#include "loopbank/model/language_model.h"
#include "loopbank/ranks/ranks.h"
#include "loopbank/train/run_config.h"

namespace loopbank {

/// Seconds of the slowest rank, medians over steps.
struct RankStepParts {
  double pass_seconds = 0.0;       ///< a rank's passes, forward and backward; nothing is exchanged
  double optimizer_seconds = 0.0;  ///< norm and AdamW of all parameters on every rank
  double exchange_bytes = 0.0;     ///< of all gradients, fp32
  double exchange_seconds = 0.0;   ///< in which they are summed and gathered, bucket by bucket
};

/// Measures all ranks at the same time, since they may share cores and memory.
/// @param config  its batch is shared by the ranks, evenly; data files are not opened
/// @param steps   of each part, after one that is not counted
/// @throws Error kConfig for a batch that the ranks cannot share evenly; kRanks as ranks.h
[[nodiscard]] RankStepParts measure_step_parts(const RunConfig& config, at::Device device,
                                               const Ranks& ranks, int64_t steps);

/// Whole steps: gradients exchanged beside the backward pass, their norm, the sharded optimizer, the
/// new weights. Medians over steps.
struct RankStepTimes {
  double step_seconds = 0.0;        ///< of the slowest rank
  double exchanging_seconds = 0.0;  ///< of this rank: in which exchanges were on their way
  double waited_seconds = 0.0;      ///< of this rank: in which it stood still for one
};

/// The same ranks, batch and config as above.
/// @throws Error as above
[[nodiscard]] RankStepTimes measure_steps(const RunConfig& config, at::Device device,
                                          const Ranks& ranks, int64_t steps);

}  // namespace loopbank
