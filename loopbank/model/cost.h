#pragma once
/// What a model costs: parameters by part, FLOPs a token. Pure arithmetic on a config. What training
/// it takes of memory is in training_memory.h.

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
  CostByPart parameters;      ///< embedding, attention, feed_forward, norms, router, loop_scale,
                              ///< memory_banks, memory_projections, memory_gates, head
  CostByPart forward_flops;   ///< a token, all loops run: attention_projections, attention_scores
                              ///< (causal, mean context (T + 1) / 2), feed_forward, router,
                              ///< memory_read, memory_projections, memory_gates, head
  double training_flops = 0;  ///< 3 x forward: the backward pass costs twice the forward
};

/// @param sequence_length  T, tokens; a token attends to (T + 1) / 2 tokens on average
/// A multiply-add counts as two FLOPs; norms, softmax and elementwise work are left out.
/// @throws Error kConfig for a config that does not validate
[[nodiscard]] ModelCost model_cost(const ModelConfig& config, int64_t sequence_length);

/// Forward FLOPs a token where every layer runs at most `max_loops` loops.
///
/// @param max_loops  loop budget; 0: each layer's own N
/// @throws Error kConfig for a config that does not validate
[[nodiscard]] double forward_flops(const ModelConfig& config, int64_t sequence_length,
                                   int64_t max_loops);

/// The same for the loops that tokens are expected to take: what a token that stopped after
/// them would cost. FLOPs grow by the same amount with each loop of a layer, so the mean is enough.
///
/// @param mean_loops  expected loops, mean over layers (1 for a dense one) and tokens
[[nodiscard]] double expected_forward_flops(const ModelConfig& config, int64_t sequence_length,
                                            double mean_loops);

/// FLOPs of one token's keys and values in one layer, made late for loops that it did not run.
[[nodiscard]] double late_key_flops(const ModelConfig& config);

/// {"total": ..., "<part>": ...} in the order of the parts.
[[nodiscard]] nlohmann::ordered_json to_json(const CostByPart& cost);

}  // namespace loopbank
