#pragma once
/// What a run takes of a device's memory, and how it is made to fit.
///
/// What can be lowered without another result: rows of a pass (micro_batch) and what the backward
/// pass computes again (recompute). Computing again costs up to a third more time and rows of a pass
/// next to nothing, so nothing is computed again where even one row fits without.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "loopbank/model/training_memory.h"
#include "loopbank/train/run_config.h"

namespace loopbank {

/// How many ranks share a run, and how.
struct RankShares {
  int64_t ranks = 1;
  bool shards_optimizer = true;  ///< ZeRO-1; false: every rank keeps all moments (DDP)
};

/// Bytes of a rank at the peak of a step, by part (model/training_memory.h), as the config's
/// micro_batch, recompute, precision and device say. A config without steps counts one row of T.
[[nodiscard]] CostByPart run_memory(const RunConfig& config, const RankShares& shares = {});

/// How a run fits a device.
struct MemoryFit {
  std::string recompute;    ///< none, loop or layer
  int64_t micro_batch = 0;  ///< rows of a pass; divides the batch
  CostByPart memory;        ///< of a rank
};

/// The least recompute that stays within a device's memory, and with it the rows of a pass that share
/// the batch most evenly among the ranks, as many as fit. Of the bytes kMemoryReserve is left free: an
/// allocator cannot use every gap.
/// @param bytes  of the device
/// @return nothing where one row with all layers computed again is too much
[[nodiscard]] std::optional<MemoryFit> fit_to_memory(const RunConfig& config, double bytes,
                                                     const RankShares& shares = {});

/// Share of a device's memory that a plan leaves free.
constexpr double kMemoryReserve = 0.08;

/// Refuses a run that the device has too little memory for, before its first step.
/// @param bytes   that are free on the device
/// @param device  its name, such as "cuda:0": what is counted follows it and not the config's
/// @throws Error kDevice with what the run takes, what is there, and which settings would fit
void expect_enough_memory(const RunConfig& config, double bytes, std::string_view device,
                          const RankShares& shares = {});

}  // namespace loopbank
