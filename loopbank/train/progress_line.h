#pragma once
/// The one line that shows how a run is going.

#include <cstdint>
#include <string>
#include <vector>

#include "loopbank/train/metrics.h"

namespace loopbank {

/// What the line shows beside the last step and the last validation.
struct RunPace {
  int64_t steps = 0;               ///< of the whole run
  double tokens_per_second = 0.0;  ///< over the last steps
  double seconds_a_step = 0.0;     ///< over the last steps
  double flops_per_token = 0.0;    ///< forward and backward, all loops run
  double gemm_peak = 0.0;          ///< FLOP/s of this machine; 0: not measured
};

/// `step 120/400 30 %  loss 3.214  BPB 1.532  lr 2.9e-03  3.9 k tokens/s  31 % of GEMM peak
/// loops 2.11  gates 0.42 0.30  commonsense 0.342  ETA 12:03`, leaving out what is unknown: BPB
/// before the first validation, loops in a dense model, gates (local, global) without memory, a
/// score before the first evaluation. Of several scores the last suite's is shown, or the first
/// task's.
[[nodiscard]] std::string progress_line(const StepMetrics& step,
                                        const ValidationMetrics& validation, const RunPace& pace,
                                        const std::vector<EvaluationMetrics>& evaluation = {});

}  // namespace loopbank
