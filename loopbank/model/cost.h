#pragma once
/// What a model costs: parameters by part, FLOPs a token, memory. Pure arithmetic on a config.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "loopbank/model/config.h"

namespace loopbank {

/// Parameters or FLOPs by part, in a fixed order, and their sum.
struct CostByPart {
  std::vector<std::pair<std::string, double>> parts;
  [[nodiscard]] double total() const;
};

struct ModelCost {
  CostByPart parameters;     ///< embedding, attention, feed_forward, norms, router, loop_scale,
                             ///< memory_banks, memory_projections, memory_gates, head
  CostByPart forward_flops;  ///< a token, all loops run: attention projections, attention scores
                             ///< (causal, mean context T / 2), feed_forward, router,
                             ///< memory_read, memory_projections, memory_gates, head
  double training_flops = 0; ///< 3 x forward: the backward pass costs twice the forward
};

/// @param sequence_length  T, tokens; a token attends to (T + 1) / 2 tokens on average
/// A multiply-add counts as two FLOPs; norms, softmax and elementwise work are left out.
[[nodiscard]] ModelCost model_cost(const ModelConfig& config, int64_t sequence_length);

}  // namespace loopbank
