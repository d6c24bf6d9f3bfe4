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

/// Medians over rounds; seconds of the slowest rank where nothing else is said.
struct RankStepTimes {
  double step_seconds = 0.0;        ///< of a whole step, exchanges beside the backward pass
  double exchanging_seconds = 0.0;  ///< of this rank: in which exchanges were on their way
  double waited_seconds = 0.0;      ///< of this rank: in which it stood still for one
  // What a step is made of, each measured alone on all ranks at the same time.
  double pass_seconds = 0.0;       ///< a rank's passes, forward and backward; nothing is exchanged
  double optimizer_seconds = 0.0;  ///< norm and AdamW of all parameters on every rank
  double exchange_bytes = 0.0;     ///< of all gradients, fp32
  double exchange_seconds = 0.0;   ///< in which they are summed and gathered, bucket by bucket
};

/// Measures all ranks together, since they may share cores and memory, and a step and its parts in
/// turns, so that other work on the machine meets all of them.
/// @param config  its batch is shared by the ranks, evenly; data files are not opened
/// @param rounds  after two that are not counted: the first step lays out the buckets
/// @throws Error kConfig for a batch that the ranks cannot share evenly; kRanks as ranks.h
[[nodiscard]] RankStepTimes measure_rank_steps(const RunConfig& config, at::Device device,
                                               const Ranks& ranks, int64_t rounds);

}  // namespace loopbank
