#pragma once
/// Loss and gradients of one batch, in as many passes as memory requires.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "loopbank/data/sampler.h"
#include "loopbank/model/language_model.h"

namespace loopbank {

struct BatchLoss {
  double loss = 0.0;                        ///< cross-entropy and ponder term, mean over the passes
  double ponder = 0.0;                      ///< not weighted
  std::vector<double> loops_by_layer = {};  ///< mean n of each layer
};

/// Passes of equal size over a batch, and which of them to take.
struct PassRange {
  int64_t rows = 0;   ///< of a forward and backward pass, divides B
  int64_t first = 0;  ///< to take
  int64_t count = 0;
  int64_t of = 0;  ///< K, all passes
};

/// The passes of one process: all.
[[nodiscard]] PassRange all_passes(const Batch& batch, int64_t rows_a_pass);

/// Adds the gradients of the batch's mean loss to those that the parameters hold.
///
///     loss = 1/K sum_k loss(rows of pass k)      K = B / rows_a_pass passes of equal size
///
/// @param batch        [B, T] tokens and targets
/// @param rows_a_pass  rows of a forward and backward pass, divides B
[[nodiscard]] BatchLoss accumulate_gradients(const LanguageModel& model, const Batch& batch,
                                             int64_t rows_a_pass, const ForwardOptions& options);

/// The same for some of the passes; gradients are those of their part of the mean.
///
/// A gradient of rows (an embedding's) is summed within a pass first, then over the passes: so it has
/// the bits of gradients that several ranks add up, a pass each.
/// @param before_last  called before the backward pass of the last
/// @return [count, 2 + L] fp32 on the model's device: loss, ponder, mean n of each layer of a pass
[[nodiscard]] at::Tensor accumulate_passes(const LanguageModel& model, const Batch& batch,
                                           const PassRange& passes, const ForwardOptions& options,
                                           const std::function<void()>& before_last = {});

/// Means over all passes: sums in fp32 in the order of the passes.
/// @param numbers  2 + L of each pass, as accumulate_passes returns them
[[nodiscard]] BatchLoss mean_of_passes(const std::vector<std::vector<double>>& numbers);

/// A tensor's rows on the CPU in fp64.
/// @param values  [n, m]
[[nodiscard]] std::vector<std::vector<double>> rows_of(const at::Tensor& values);

}  // namespace loopbank
