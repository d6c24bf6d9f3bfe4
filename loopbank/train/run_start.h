#pragma once
/// What a run checks before its first step: its config, what its folder holds, and, with several ranks,
/// that all of them are about to compute the same.

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "loopbank/ranks/ranks.h"
#include "loopbank/train/checkpoint.h"
#include "loopbank/train/run_config.h"
#include "loopbank/train/run_data.h"
#include "loopbank/train/trainer.h"

namespace loopbank {

/// The config, checked; with the hash of the weights that a run in the folder started from.
/// @throws Error kConfig
[[nodiscard]] RunConfig validated(const RunConfig& config, const TrainOptions& options);

/// The folder of the run that goes on; empty for one that starts anew.
[[nodiscard]] std::filesystem::path resumed_folder(const TrainOptions& options);

/// This rank's device, found to have room for the run.
[[nodiscard]] at::Device device_of_run(const RunConfig& config, const Ranks& ranks);

/// The newest checkpoint whose files are all as they were written, and the damaged ones before it.
struct FoundStart {
  std::optional<Checkpoint> usable;
  std::vector<Checkpoint> damaged;
};

/// The checkpoint to continue from, after the run in the folder was found to be the same as
/// `config`; nothing where the run starts anew.
/// @throws Error kCheckpoint, kConfig
[[nodiscard]] FoundStart find_start(const RunConfig& config, const TrainOptions& options);

/// Names and values that must be equal on all ranks.
using RankFacts = std::vector<std::pair<std::string, std::string>>;

/// Version, config, tokenizer and token sources of a run. Of a source's tokens some are read.
[[nodiscard]] RankFacts facts_of_run(const RunConfig& config, const RunData& data,
                                     const std::string& version);

/// Compares their hash, and the facts themselves where that differs.
/// @throws Error kRanks on every rank, naming the first fact that differs and the ranks that have it
void expect_same_facts(const Ranks& ranks, const RankFacts& facts);

}  // namespace loopbank
