/// The step of AdamW (optimizer.h) on a GPU: LibTorch's one kernel for all tensors of a group.

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <vector>

#include "loopbank/ops/libtorch.h"
#include "loopbank/train/optimizer.h"

namespace loopbank {

void AdamW::step_on_device(double learning_rate, const at::Tensor& norm, double clip_norm,
                           const at::Tensor& finite) {
  const at::NoGradGuard no_grad;
  ++steps_;
  const auto options = at::TensorOptions().dtype(at::kFloat).device(norm.device());
  // The kernel divides gradients by the one and does nothing where the other is 1.
  const auto divisor = clip_norm > 0.0 ? ((norm.to(at::kFloat) + 1e-6) / clip_norm).clamp_min(1.0)
                                       : at::full({}, 1.0, options);
  const auto skipped = finite.logical_not().to(at::kFloat);
  const auto k = at::full({}, static_cast<double>(steps_), options);
  for (const auto& group : groups_.all()) {
    ops::AdamwTensors of_group;
    for (const auto i : group.members) {
      const auto& gradient = parameters_[i].value.grad();
      if (gradient.defined()) {
        of_group.values.push_back(parameters_[i].value.detach());
        of_group.gradients.push_back(gradient.is_sparse() ? gradient.to_dense() : gradient);
        of_group.first_moments.push_back(first_moments_[i]);
        of_group.second_moments.push_back(second_moments_[i]);
      }
    }
    if (!of_group.values.empty()) {
      ops::fused_adamw(of_group, k, divisor, skipped,
                       {.learning_rate = learning_rate * group.rate_multiplier,
                        .beta1 = groups_.config().beta1,
                        .beta2 = groups_.config().beta2,
                        .weight_decay = group.weight_decay,
                        .eps = groups_.config().eps});
    }
  }
}

at::Tensor gradient_norm_on_device(const Parameters& parameters) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : parameters.all()) {
    const auto& gradient = parameter.value.grad();
    if (gradient.defined()) {
      gradients.push_back(gradient.is_sparse() ? gradient.coalesce()._values() : gradient);
    }
  }
  if (gradients.empty()) {
    return at::zeros({}, at::TensorOptions().dtype(at::kFloat).device(parameters.device()));
  }
  return at::linalg_vector_norm(at::stack(at::_foreach_norm(gradients)));
}

}  // namespace loopbank
