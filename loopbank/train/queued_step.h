#pragma once
/// A whole training step of one process, queued on a GPU before anything of it is read.

#include <cstdint>

#include "loopbank/data/sampler.h"
#include "loopbank/model/language_model.h"
#include "loopbank/train/optimizer.h"
#include "loopbank/train/train_step.h"

namespace loopbank {

struct StepSettings {
  int64_t rows_a_pass = 0;  ///< rows of a forward and backward pass, divides B
  double learning_rate = 0.0;
  double clip_norm = 0.0;  ///< 0: no clipping
};

/// What a step tells.
struct StepNumbers {
  BatchLoss batch;
  double gradient_norm = 0.0;
  bool finite = true;  ///< loss and norm are: otherwise the weights were left as they are
};

/// One step: gradients, their norm, clipping, AdamW; the parameters then hold no gradients.
///
/// On a GPU all of it is queued before anything is read: whether the step counts and how much it is
/// clipped are decided there, and the numbers come back together (LibTorch 2; LibTorch 1 waits for
/// the norm as well).
[[nodiscard]] StepNumbers take_step(const LanguageModel& model, AdamW& optimizer,
                                    const Batch& batch, const StepSettings& step,
                                    const ForwardOptions& options);

}  // namespace loopbank
