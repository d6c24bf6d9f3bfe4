#pragma once
/// The flags of `loopbank plan` for a device and for several ranks.

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "loopbank/support/field.h"
#include "loopbank/train/run_config.h"

namespace loopbank::cli {

struct PlanRanksFlags {
  IntOrList ranks = std::vector<int64_t>();  ///< none: no prediction
  std::string bandwidth;
  std::string node_bandwidth;
  int64_t ranks_a_node = 8;
  double latency = 1e-5;  // seconds
  std::string device_flops;
  std::string device_memory;
  std::string device_bandwidth;
  int64_t zero = 1;
  std::string exchange = "ring";
};

/// Adds --ranks and what goes with it.
void add_plan_ranks_flags(CLI::App& command, PlanRanksFlags& flags);

/// Puts the recompute and micro_batch into the config that fit --device-memory on so many ranks.
/// @return what was chosen: {recompute, micro_batch, memory_bytes}; null without the flag
/// @throws Error kDevice where nothing fits, kConfig for a model without a batch
nlohmann::ordered_json fit_device(RunConfig& config, const PlanRanksFlags& flags,
                                  int64_t ranks = 1);

/// The prediction of --ranks, {device_flops, ..., results: [...]}; null without the flag. Each number
/// of ranks has what fits --device-memory. Prints the table unless `json`.
[[nodiscard]] nlohmann::ordered_json predict_ranks(const RunConfig& config,
                                                   const PlanRanksFlags& flags, bool json);

}  // namespace loopbank::cli
