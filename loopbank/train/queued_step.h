#pragma once
/// A whole training step of one process on a GPU, queued before anything of it is read.

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "loopbank/data/sampler.h"
#include "loopbank/model/language_model.h"
#include "loopbank/train/batch_step.h"
#include "loopbank/train/optimizer.h"

namespace loopbank {

/// Whether queue_step can be taken there: on a GPU, with LibTorch 2.
[[nodiscard]] bool can_queue_steps(at::Device device);

/// BatchStep::take of one process. Whether the step counts and how much it is clipped are decided on
/// the device, and the numbers come back together.
/// @param rows_a_pass  rows of a forward and backward pass, divides B
[[nodiscard]] StepTaken queue_step(const LanguageModel& model, AdamW& optimizer, const Batch& batch,
                                   int64_t rows_a_pass, const ForwardOptions& options,
                                   const StepRates& rates);

}  // namespace loopbank
