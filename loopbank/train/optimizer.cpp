#include "loopbank/train/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

// Five slices of fp32 (value, gradient, two moments, a temporary) in 1.3 MB: within the L2 of a
// server core. Half as many take longer: the cost of calls then shows.
constexpr int64_t kSliceValues = int64_t{1} << 16;

double rate_multiplier(const Parameter& parameter, const OptimizerConfig& config) {
  switch (parameter.kind) {
    case ParameterKind::kLoopScale:
      return config.loop_scale_multiplier;
    case ParameterKind::kMemory:
      return config.memory_multiplier;
    default:
      return 1.0;
  }
}

std::vector<at::Tensor> gradients_of(const Parameters& parameters) {
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : parameters.all()) {
    if (const auto& gradient = parameter.value.grad(); gradient.defined()) {
      gradients.push_back(gradient.detach());
    }
  }
  return gradients;
}

}  // namespace

struct AdamW::Coefficients {
  double decay = 1.0;            ///< 1 - r wd
  double step_size = 0.0;        ///< r / (1 - b1^k)
  double root_correction = 1.0;  ///< sqrt(1 - b2^k)
  double gradient_scale = 1.0;
};

AdamW::AdamW(const Parameters& parameters, const OptimizerConfig& config)
    : config_(config), parameters_(parameters.all()) {
  for (const auto& parameter : parameters_) {
    first_moments_.push_back(at::zeros_like(parameter.value.detach()));
    second_moments_.push_back(at::zeros_like(parameter.value.detach()));
  }
  make_groups();
  if (parameters.device().is_cpu()) {
    make_slices();
  }
}

void AdamW::make_groups() {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const double multiplier = rate_multiplier(parameters_[i], config_);
    const double decay = parameters_[i].decays() ? config_.weight_decay : 0.0;
    const auto found = std::find_if(groups_.begin(), groups_.end(), [&](const Group& group) {
      return group.rate_multiplier == multiplier && group.weight_decay == decay;
    });
    const auto index = static_cast<size_t>(found - groups_.begin());
    if (found == groups_.end()) {
      groups_.push_back({multiplier, decay, {}});
    }
    groups_[index].members.push_back(i);
    group_of_.push_back(index);
  }
}

void AdamW::make_slices() {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto value = parameters_[i].value.detach().view(-1);
    for (int64_t begin = 0; begin < value.numel(); begin += kSliceValues) {
      const auto end = std::min(begin + kSliceValues, value.numel());
      slices_.push_back({i, begin, value.slice(0, begin, end),
                         first_moments_[i].view(-1).slice(0, begin, end),
                         second_moments_[i].view(-1).slice(0, begin, end)});
    }
  }
}

AdamW::Coefficients AdamW::coefficients(const Group& group, double learning_rate,
                                        double gradient_scale) const {
  const double rate = learning_rate * group.rate_multiplier;
  const auto k = static_cast<double>(steps_);
  return {.decay = 1.0 - rate * group.weight_decay,
          .step_size = rate / (1.0 - std::pow(config_.beta1, k)),
          .root_correction = std::sqrt(1.0 - std::pow(config_.beta2, k)),
          .gradient_scale = gradient_scale};
}

void AdamW::step(double learning_rate, double gradient_scale) {
  const at::NoGradGuard no_grad;
  ++steps_;
  if (slices_.empty()) {
    step_in_lists(learning_rate, gradient_scale);
  } else {
    step_in_slices(learning_rate, gradient_scale);
  }
}

void AdamW::step_in_slices(double learning_rate, double gradient_scale) {
  std::vector<Coefficients> by_group;
  for (const auto& group : groups_) {
    by_group.push_back(coefficients(group, learning_rate, gradient_scale));
  }
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : parameters_) {
    const auto& gradient = parameter.value.grad();
    gradients.push_back(gradient.defined() ? gradient.detach().reshape(-1) : at::Tensor());
  }
  const auto update = [&](const Slice& slice) {
    const auto& whole = gradients[slice.parameter];
    if (!whole.defined()) {
      return;
    }
    const auto& by = by_group[group_of_[slice.parameter]];
    auto gradient = whole.slice(0, slice.begin, slice.begin + slice.value.numel());
    if (by.gradient_scale != 1.0) {
      gradient = gradient.mul(by.gradient_scale);
    }
    if (by.decay != 1.0) {
      slice.value.mul_(by.decay);
    }
    slice.first_moment.mul_(config_.beta1).add_(gradient, 1.0 - config_.beta1);
    slice.second_moment.mul_(config_.beta2).addcmul_(gradient, gradient, 1.0 - config_.beta2);
    const auto root = slice.second_moment.sqrt().div_(by.root_correction).add_(config_.eps);
    slice.value.addcdiv_(slice.first_moment, root, -by.step_size);
  };
  at::parallel_for(0, static_cast<int64_t>(slices_.size()), 1, [&](int64_t begin, int64_t end) {
    const at::NoGradGuard no_grad;  // holds for one thread alone
    for (int64_t i = begin; i < end; ++i) {
      update(slices_[static_cast<size_t>(i)]);
    }
  });
}

void AdamW::step_in_lists(double learning_rate, double gradient_scale) {
  for (const auto& group : groups_) {
    std::vector<at::Tensor> values, gradients, first, second;
    for (const auto i : group.members) {
      if (const auto& gradient = parameters_[i].value.grad(); gradient.defined()) {
        values.push_back(parameters_[i].value.detach());
        gradients.push_back(gradient.detach());
        first.push_back(first_moments_[i]);
        second.push_back(second_moments_[i]);
      }
    }
    if (values.empty()) {
      continue;
    }
    const auto by = coefficients(group, learning_rate, gradient_scale);
    if (by.gradient_scale != 1.0) {
      gradients = at::_foreach_mul(gradients, by.gradient_scale);
    }
    if (by.decay != 1.0) {
      at::_foreach_mul_(values, by.decay);
    }
    at::_foreach_mul_(first, config_.beta1);
    at::_foreach_add_(first, gradients, 1.0 - config_.beta1);
    at::_foreach_mul_(second, config_.beta2);
    at::_foreach_addcmul_(second, gradients, gradients, 1.0 - config_.beta2);
    const auto roots = at::_foreach_sqrt(second);
    at::_foreach_div_(roots, by.root_correction);
    at::_foreach_add_(roots, config_.eps);
    at::_foreach_addcdiv_(values, first, roots, -by.step_size);
  }
}

NamedTensors AdamW::state() const {
  NamedTensors tensors;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    tensors.emplace_back("first_moment." + parameters_[i].name, first_moments_[i]);
    tensors.emplace_back("second_moment." + parameters_[i].name, second_moments_[i]);
  }
  return tensors;
}

void AdamW::restore(const NamedTensors& state, int64_t steps) {
  const std::map<std::string, at::Tensor> stored(state.begin(), state.end());
  const auto own = this->state();
  if (stored.size() != own.size()) {
    fail(ErrorCode::kCheckpoint, "optimizer state: expected {} moments, got {}.", own.size(),
         stored.size());
  }
  for (const auto& [name, tensor] : own) {
    const auto found = stored.find(name);
    if (found == stored.end()) {
      fail(ErrorCode::kCheckpoint, "optimizer state: expected \"{}\", got none.", name);
    }
    if (found->second.sizes() != tensor.sizes() || !found->second.is_floating_point()) {
      fail(ErrorCode::kCheckpoint,
           "optimizer state: \"{}\": expected fp32 of shape [{}], got {} of shape [{}].", name,
           fmt::join(tensor.sizes(), ", "), c10::toString(found->second.scalar_type()),
           fmt::join(found->second.sizes(), ", "));
    }
  }
  for (const auto& [name, tensor] : own) {
    tensor.copy_(stored.at(name));
  }
  steps_ = steps;
}

double gradient_norm(const Parameters& parameters) {
  const auto gradients = gradients_of(parameters);
  if (gradients.empty()) {
    return 0.0;
  }
  return at::linalg_vector_norm(at::stack(at::_foreach_norm(gradients))).item<double>();
}

double clip_coefficient(double norm, double clip_norm) {
  return clip_norm > 0.0 ? std::min(1.0, clip_norm / (norm + 1e-6)) : 1.0;
}

void clear_gradients(const Parameters& parameters) {
  for (const auto& parameter : parameters.all()) {
    auto value = parameter.value;
    value.mutable_grad().reset();
  }
}

}  // namespace loopbank
