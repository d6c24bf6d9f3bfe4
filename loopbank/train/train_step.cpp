#include "loopbank/train/train_step.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/stack.h>

#include <cmath>

#include "loopbank/ops/libtorch.h"

namespace loopbank {
namespace {

/// Sums over the passes, on the model's device: reading a value would make it wait in every pass.
struct PassSums {
  at::Tensor loss;    // scalar
  at::Tensor ponder;  // scalar
  at::Tensor loops;   // [L]
  double passes = 0.0;
};

/// To a GPU from memory that the system does not move, so that the program need not wait for it.
at::Tensor brought_to(const at::Tensor& x, at::Device device) {
  return device.is_cuda() && x.is_cpu() ? x.pin_memory().to(device, /*non_blocking=*/true)
                                        : x.to(device);
}

PassSums run_passes(const LanguageModel& model, const Batch& batch, int64_t rows_a_pass,
                    const ForwardOptions& options) {
  const auto tokens = brought_to(batch.tokens, model.device());    // [B, T]
  const auto targets = brought_to(batch.targets, model.device());  // [B, T]
  const auto passes = tokens.size(0) / rows_a_pass;
  PassSums sums{.loss = {}, .ponder = {}, .loops = {}, .passes = static_cast<double>(passes)};
  for (int64_t pass = 0; pass < passes; ++pass) {
    const auto rows = [&](const at::Tensor& all) {
      return all.narrow(0, pass * rows_a_pass, rows_a_pass);
    };
    const auto out = model.loss(rows(tokens), rows(targets), options);
    (passes == 1 ? out.total : out.total / passes).backward();
    const auto mean_loops = out.expected_loops.detach().mean({1, 2});  // [L]
    sums.loss = pass == 0 ? out.total.detach() : sums.loss + out.total.detach();
    sums.ponder = pass == 0 ? out.ponder.detach() : sums.ponder + out.ponder.detach();
    sums.loops = pass == 0 ? mean_loops : sums.loops + mean_loops;
  }
  return sums;
}

/// Values of a [n] tensor in fp64, which waits for what computes them.
std::vector<double> read(const at::Tensor& values) {
  const auto list = values.to(at::kCPU, at::kDouble).contiguous();
  return {list.data_ptr<double>(), list.data_ptr<double>() + list.numel()};
}

BatchLoss means_of(const PassSums& sums, const std::vector<double>& loops, double loss,
                   double ponder) {
  BatchLoss batch{.loss = loss / sums.passes, .ponder = ponder / sums.passes};
  for (const auto of_layer : loops) {
    batch.loops_by_layer.push_back(of_layer / sums.passes);
  }
  return batch;
}

/// Everything queued, then one read.
StepNumbers queue_step(const LanguageModel& model, AdamW& optimizer, const Batch& batch,
                       const StepSettings& step, const ForwardOptions& options) {
  const auto& parameters = model.parameters();
  const auto sums = run_passes(model, batch, step.rows_a_pass, options);
  const auto norm = gradient_norm_on_device(parameters);
  const auto finite = at::isfinite(sums.loss).logical_and(at::isfinite(norm));
  optimizer.step_on_device(step.learning_rate, norm, step.clip_norm, finite);
  clear_gradients(parameters);
  const auto numbers = at::stack({sums.loss.to(at::kDouble), sums.ponder.to(at::kDouble),
                                  norm.to(at::kDouble), finite.to(at::kDouble)});  // [4]
  const auto all = read(at::cat({numbers, sums.loops.to(at::kDouble)}));
  StepNumbers taken{.batch = means_of(sums, {all.begin() + 4, all.end()}, all[0], all[1]),
                    .gradient_norm = all[2],
                    .finite = all[3] != 0.0};
  if (!taken.finite) {
    optimizer.forget_step();
  }
  return taken;
}

}  // namespace

BatchLoss accumulate_gradients(const LanguageModel& model, const Batch& batch, int64_t rows_a_pass,
                               const ForwardOptions& options) {
  const auto sums = run_passes(model, batch, rows_a_pass, options);
  const auto loss = sums.loss.item<double>();
  const auto ponder = sums.ponder.item<double>();
  return means_of(sums, read(sums.loops), loss, ponder);
}

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
