#pragma once
/// Measures whether the parts of a model do anything, on a pass of validation: how far loops change
/// the state, how unlike the slots of a bank are read, whether routers have a gradient. What follows
/// from it is the alarms' (train/alarm_rules.h).

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "loopbank/model/language_model.h"

namespace loopbank {

/// Rows on which routers are differentiated: a backward pass costs twice a forward one.
constexpr int64_t kRouterRows = 4;

/// How unlike the slots of each bank are read: what a recorder's `on_read` shows of a pass's first
/// row.
///
///     focus = ln M + sum_m w_m ln w_m       w = softmax(q K^T / sqrt D), nats
///
/// Numerics: scores and softmax in fp32.
class ReadFocus {
 public:
  explicit ReadFocus(int64_t num_layers);

  void take(const MemoryRead& read);

  /// By layer, a value a loop [N_l]; undefined where the layer has read no such bank.
  [[nodiscard]] const std::vector<at::Tensor>& local() const { return local_; }
  [[nodiscard]] const std::vector<at::Tensor>& global() const { return global_; }

 private:
  std::vector<at::Tensor> local_;
  std::vector<at::Tensor> global_;
};

/// By layer the largest mean change of a loop behind the first; undefined where there is none.
/// @param state_change  of a recorder: [N_l, B, T] each
[[nodiscard]] std::vector<at::Tensor> loop_changes(const ModelConfig& config,
                                                   const std::vector<at::Tensor>& state_change);

/// By layer the root mean square of the gradient of the total loss by the router's values; undefined
/// where a layer cannot loop twice. The gradients that the parameters hold stay as they are.
/// A row at a time: the fewest that a training step has in memory, and the same sums whatever a pass's
/// rows are.
/// @param tokens   [B, T], of which the first kRouterRows rows are taken
/// @param targets  [B, T]
[[nodiscard]] std::vector<at::Tensor> router_gradients(const LanguageModel& model,
                                                       const at::Tensor& tokens,
                                                       const at::Tensor& targets,
                                                       const ForwardOptions& options);

}  // namespace loopbank
