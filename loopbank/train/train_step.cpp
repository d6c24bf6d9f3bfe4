#include "loopbank/train/train_step.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

namespace loopbank {

BatchLoss accumulate_gradients(const LanguageModel& model, const Batch& batch, int64_t rows_a_pass,
                               const ForwardOptions& options) {
  const auto tokens = batch.tokens.to(model.device());    // [B, T]
  const auto targets = batch.targets.to(model.device());  // [B, T]
  const auto passes = tokens.size(0) / rows_a_pass;
  // Sums stay on the device: reading a value would make it wait in every pass.
  at::Tensor loss, ponder, loops;
  for (int64_t pass = 0; pass < passes; ++pass) {
    const auto rows = [&](const at::Tensor& all) {
      return all.narrow(0, pass * rows_a_pass, rows_a_pass);
    };
    const auto out = model.loss(rows(tokens), rows(targets), options);
    (passes == 1 ? out.total : out.total / passes).backward();
    const auto mean_loops = out.expected_loops.detach().mean({1, 2});  // [L]
    loss = pass == 0 ? out.total.detach() : loss + out.total.detach();
    ponder = pass == 0 ? out.ponder.detach() : ponder + out.ponder.detach();
    loops = pass == 0 ? mean_loops : loops + mean_loops;
  }
  const auto count = static_cast<double>(passes);
  BatchLoss result{.loss = loss.item<double>() / count, .ponder = ponder.item<double>() / count};
  const auto by_layer = loops.to(at::kCPU, at::kDouble).contiguous();
  for (int64_t l = 0; l < by_layer.numel(); ++l) {
    result.loops_by_layer.push_back(by_layer.data_ptr<double>()[l] / count);
  }
  return result;
}

}  // namespace loopbank
