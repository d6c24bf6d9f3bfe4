#pragma once
/// Loss and gradients of one batch, in as many passes as memory requires.

#include <cstdint>
#include <vector>

#include "loopbank/data/sampler.h"
#include "loopbank/model/language_model.h"

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

}  // namespace loopbank
