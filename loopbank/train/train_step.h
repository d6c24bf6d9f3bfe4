#pragma once
/// Loss and gradients of one batch, in as many passes as memory requires, and the whole step.

#include <cstdint>
#include <vector>

#include "loopbank/data/sampler.h"
#include "loopbank/model/language_model.h"
#include "loopbank/train/optimizer.h"

namespace loopbank {

struct BatchLoss {
  double loss = 0.0;                        ///< cross-entropy and ponder term, mean over the passes
  double ponder = 0.0;                      ///< not weighted
  std::vector<double> loops_by_layer = {};  ///< mean n of each layer
};

/// Adds the gradients of the batch's mean loss to those that the parameters hold.
///
///     loss = 1/K sum_k loss(rows of pass k)      K = B / rows_a_pass passes of equal size
///
/// @param batch        [B, T] tokens and targets
/// @param rows_a_pass  rows of a forward and backward pass, divides B
[[nodiscard]] BatchLoss accumulate_gradients(const LanguageModel& model, const Batch& batch,
                                             int64_t rows_a_pass, const ForwardOptions& options);

struct StepSettings {
  int64_t rows_a_pass = 0;  ///< as above
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
