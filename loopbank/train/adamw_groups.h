#pragma once
/// The settings of AdamW that a parameter belongs to, and a step of whole tensors with them. The
/// equations are in optimizer.h.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "loopbank/model/parameters.h"
#include "loopbank/model/safetensors.h"
#include "loopbank/train/adamw_kernels.h"
#include "loopbank/train/run_config.h"

namespace loopbank {

/// Values that a thread steps at a time: with gradients and moments 1 MB.
constexpr int64_t kAdamwRangeValues = int64_t{1} << 16;

/// Parameters that share a learning rate and a decay.
struct AdamwGroup {
  double rate_multiplier = 1.0;
  double weight_decay = 0.0;
  std::vector<size_t> members;
};

class AdamwGroups {
 public:
  AdamwGroups(const std::vector<Parameter>& parameters, const OptimizerConfig& config);
  [[nodiscard]] const std::vector<AdamwGroup>& all() const { return groups_; }
  [[nodiscard]] size_t of(size_t parameter) const { return group_of_[parameter]; }
  /// By group, for step number `steps`.
  [[nodiscard]] std::vector<AdamwCoefficients> coefficients(int64_t steps, double learning_rate,
                                                            double gradient_scale) const;

 private:
  OptimizerConfig config_;
  std::vector<AdamwGroup> groups_;
  std::vector<size_t> group_of_;
};

/// Tensors of one group side by side: values, gradients and moments of the same shape.
struct AdamwLists {
  std::vector<at::Tensor> values, gradients, first_moments, second_moments;
};

/// One step by operations over lists, on any device.
void adamw_step_in_lists(AdamwLists lists, const AdamwCoefficients& by);

/// @throws Error kCheckpoint for a missing, unknown or wrongly shaped moment, by its name
void expect_moments(const std::vector<Parameter>& parameters, const NamedTensors& stored);

[[nodiscard]] std::string first_moment_name(const Parameter& parameter);
[[nodiscard]] std::string second_moment_name(const Parameter& parameter);

/// Calls visit(i) for i below n, the threads sharing them.
void for_each_in_parallel(size_t n, const std::function<void(size_t)>& visit);

}  // namespace loopbank
