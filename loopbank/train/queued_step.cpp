#include "loopbank/train/queued_step.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/stack.h>

#include <cmath>

#include "loopbank/ops/libtorch.h"

namespace loopbank {
namespace {

StepNumbers queue_step(const LanguageModel& model, AdamW& optimizer, const Batch& batch,
                       const StepSettings& step, const ForwardOptions& options) {
  const auto& parameters = model.parameters();
  const auto numbers = accumulate_passes(model, batch, all_passes(batch, step.rows_a_pass),
                                         options);  // [K, 2 + L]
  const auto norm = gradient_norm_on_device(parameters);
  const auto finite = at::isfinite(numbers).all().logical_and(at::isfinite(norm));
  optimizer.step_on_device(step.learning_rate, norm, step.clip_norm, finite);
  clear_gradients(parameters);
  const auto last = at::stack({norm.to(at::kFloat), finite.to(at::kFloat)});  // [2]
  auto list = rows_of(at::cat({numbers.flatten(), last}).unsqueeze(0)).front();
  StepNumbers taken{
      .batch = {}, .gradient_norm = list[list.size() - 2], .finite = list.back() != 0.0};
  std::vector<std::vector<double>> passes;
  const auto width = static_cast<std::ptrdiff_t>(numbers.size(1));
  for (auto row = list.begin(); row + 2 < list.end(); row += width) {
    passes.emplace_back(row, row + width);
  }
  taken.batch = mean_of_passes(passes);
  if (!taken.finite) {
    optimizer.forget_step();
  }
  return taken;
}

}  // namespace

StepNumbers take_step(const LanguageModel& model, AdamW& optimizer, const Batch& batch,
                      const StepSettings& step, const ForwardOptions& options) {
  if (ops::kHasFusedAdamw && !model.device().is_cpu()) {
    return queue_step(model, optimizer, batch, step, options);
  }
  StepNumbers taken;
  taken.batch = accumulate_gradients(model, batch, step.rows_a_pass, options);
  taken.gradient_norm = gradient_norm(model.parameters());
  taken.finite = std::isfinite(taken.batch.loss) && std::isfinite(taken.gradient_norm);
  if (taken.finite) {
    optimizer.step(step.learning_rate, clip_coefficient(taken.gradient_norm, step.clip_norm));
  }
  clear_gradients(model.parameters());
  return taken;
}

}  // namespace loopbank
