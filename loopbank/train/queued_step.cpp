#include "loopbank/train/queued_step.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/stack.h>

#include <vector>

#include "loopbank/ops/libtorch.h"

namespace loopbank {

bool can_queue_steps(at::Device device) {
  return ops::kHasFusedAdamw && !device.is_cpu();
}

StepTaken queue_step(const LanguageModel& model, AdamW& optimizer, const Batch& batch,
                     int64_t rows_a_pass, const ForwardOptions& options, const StepRates& rates) {
  const auto& parameters = model.parameters();
  const auto numbers = accumulate_passes(model, batch, all_passes(batch, rows_a_pass),
                                         options);  // [K, 2 + L]
  const auto norm = gradient_norm_on_device(parameters);
  const auto finite = at::isfinite(numbers).all().logical_and(at::isfinite(norm));
  optimizer.step_on_device(rates.learning_rate, norm, rates.clip_norm, finite);
  clear_gradients(parameters);
  const auto last = at::stack({norm.to(at::kFloat), finite.to(at::kFloat)});  // [2]
  const auto list = rows_of(at::cat({numbers.flatten(), last}).unsqueeze(0)).front();
  std::vector<std::vector<double>> passes;
  const auto width = static_cast<std::ptrdiff_t>(numbers.size(1));
  for (auto row = list.begin(); row + 2 < list.end(); row += width) {
    passes.emplace_back(row, row + width);
  }
  const bool finite_here = list.back() != 0.0;
  if (!finite_here) {
    optimizer.forget_step();
  }
  return {.found = {.loss = mean_of_passes(passes), .norm = list[list.size() - 2]},
          .finite = finite_here};
}

}  // namespace loopbank
