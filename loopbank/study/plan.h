#pragma once
/// What a run will cost, before it starts: parameters, FLOPs, memory, steps and tokens.

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "loopbank/model/cost.h"
#include "loopbank/train/run_config.h"

namespace loopbank {

struct RunPlan {
  ModelCost cost;
  int64_t sequence_length = 0;  ///< T at which FLOPs and memory are counted
  CostByPart memory;            ///< bytes at the peak of a training step
  CostByPart kv_bytes;          ///< bytes of a token's keys and values by policy, in inference
  std::string kv_dtype;         ///< in which type: bf16 or fp32, as the run's precision
  int64_t steps = 0;            ///< 0: the config describes a model alone
  double tokens = 0.0;          ///< over all steps
  double training_flops = 0.0;  ///< over all steps
};

/// Reads what can be planned: a run's TOML, a TOML with [model] alone, a config.json or a folder
/// that holds one. Whatever is there is validated; a run without steps is a model alone.
/// @param overrides  `section.key=value` texts, applied last
/// @throws Error kConfig
[[nodiscard]] RunConfig load_plan_config(const std::filesystem::path& path,
                                         const std::vector<std::string>& overrides);

/// Whether the config describes a whole run, or a model alone.
[[nodiscard]] bool describes_a_run(const RunConfig& config);

[[nodiscard]] RunPlan make_plan(const RunConfig& config);

/// parameters.{total, <part>}, flops_per_token.{forward, training, by_part}, memory_bytes.{total,
/// <part>}, kv_bytes_per_token.{policy}, sequence_length, steps, tokens, training_flops.
[[nodiscard]] nlohmann::ordered_json to_json(const RunPlan& plan);

/// The plan as a table for people.
/// @param flops_per_second  what the machine sustains, for the time; 0 leaves the time out
[[nodiscard]] std::string describe(const RunPlan& plan, double flops_per_second);

}  // namespace loopbank
