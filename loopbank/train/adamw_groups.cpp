#include "loopbank/train/adamw_groups.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_addcdiv.h>
#include <ATen/ops/_foreach_addcmul.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_sqrt.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

double multiplier_of_kind(ParameterKind kind, const OptimizerConfig& config) {
  switch (kind) {
    case ParameterKind::kRouter:
    case ParameterKind::kRouterBias:
      return config.router_multiplier;
    case ParameterKind::kMemoryGate:
    case ParameterKind::kMemoryGateBias:
      return config.memory_gate_multiplier;
    case ParameterKind::kLoopScale:
      return config.loop_scale_multiplier;
    case ParameterKind::kMemory:
      return config.memory_multiplier;
    default:
      return 1.0;
  }
}

double multiplier_of_origin(Origin origin, const OptimizerConfig& config) {
  return origin == Origin::kTaken   ? config.init_multiplier
         : origin == Origin::kAdded ? config.new_multiplier
                                    : 1.0;
}

}  // namespace

AdamwGroups::AdamwGroups(const std::vector<Parameter>& parameters, const OptimizerConfig& config)
    : config_(config) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    const double multiplier = multiplier_of_kind(parameters[i].kind, config_) *
                              multiplier_of_origin(parameters[i].origin, config_);
    const double decay = parameters[i].decays() ? config_.weight_decay : 0.0;
    const auto found = std::find_if(groups_.begin(), groups_.end(), [&](const AdamwGroup& group) {
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

std::vector<AdamwCoefficients> AdamwGroups::coefficients(int64_t steps, double learning_rate,
                                                         double gradient_scale) const {
  const auto k = static_cast<double>(steps);
  const auto rounded = [](double x) { return static_cast<float>(x); };
  std::vector<AdamwCoefficients> by_group;
  for (const auto& group : groups_) {
    const double rate = learning_rate * group.rate_multiplier;
    by_group.push_back(
        {.beta1 = rounded(config_.beta1),
         .beta2 = rounded(config_.beta2),
         .rest1 = rounded(1.0 - config_.beta1),
         .rest2 = rounded(1.0 - config_.beta2),
         .eps = rounded(config_.eps),
         .decay = rounded(1.0 - rate * group.weight_decay),
         .step_size = rounded(rate / (1.0 - std::pow(config_.beta1, k))),
         .root_correction = rounded(1.0 / std::sqrt(1.0 - std::pow(config_.beta2, k))),
         .gradient_scale = rounded(gradient_scale)});
  }
  return by_group;
}

void adamw_step_in_lists(AdamwLists lists, const AdamwCoefficients& by) {
  auto& [values, used, first, second] = lists;
  if (values.empty()) {
    return;
  }
  if (by.gradient_scale != 1.0F) {
    used = at::_foreach_mul(used, by.gradient_scale);
  }
  if (by.decay != 1.0F) {
    at::_foreach_mul_(values, by.decay);
  }
  at::_foreach_mul_(first, by.beta1);
  at::_foreach_add_(first, used, by.rest1);
  at::_foreach_mul_(second, by.beta2);
  at::_foreach_addcmul_(second, used, used, by.rest2);
  const auto roots = at::_foreach_sqrt(second);
  at::_foreach_mul_(roots, by.root_correction);
  at::_foreach_add_(roots, by.eps);
  at::_foreach_addcdiv_(values, first, roots, -by.step_size);
}

std::string first_moment_name(const Parameter& parameter) {
  return "first_moment." + parameter.name;
}

std::string second_moment_name(const Parameter& parameter) {
  return "second_moment." + parameter.name;
}

void expect_moments(const std::vector<Parameter>& parameters, const NamedTensors& stored) {
  const std::map<std::string, at::Tensor> by_name(stored.begin(), stored.end());
  if (by_name.size() != 2 * parameters.size()) {
    fail(ErrorCode::kCheckpoint, "optimizer state: expected {} moments, got {}.",
         2 * parameters.size(), by_name.size());
  }
  for (const auto& parameter : parameters) {
    for (const auto& name : {first_moment_name(parameter), second_moment_name(parameter)}) {
      const auto found = by_name.find(name);
      if (found == by_name.end()) {
        fail(ErrorCode::kCheckpoint, "optimizer state: expected \"{}\", got none.", name);
      }
      const auto& moment = found->second;
      if (moment.sizes() != parameter.value.sizes() || !moment.is_floating_point()) {
        fail(ErrorCode::kCheckpoint,
             "optimizer state: \"{}\": expected fp32 of shape [{}], got {} of shape [{}].", name,
             fmt::join(parameter.value.sizes(), ", "), c10::toString(moment.scalar_type()),
             fmt::join(moment.sizes(), ", "));
      }
    }
  }
}

void for_each_in_parallel(size_t n, const std::function<void(size_t)>& visit) {
  at::parallel_for(0, static_cast<int64_t>(n), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      visit(static_cast<size_t>(i));
    }
  });
}

}  // namespace loopbank
