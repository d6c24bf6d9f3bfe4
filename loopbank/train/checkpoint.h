#pragma once
/// Checkpoints: complete states of a run, each a folder that appears whole or not at all.
///
///     checkpoints/step-000100/   config.json, model.safetensors,
///                                tokenizer.json          a model directory
///                                optimizer.safetensors   both moments of AdamW
///                                state.json              TrainState
///                                run.toml                the run config
///                                checksums.json          XXH3 of each of these
///
/// A checkpoint is a model directory itself: every command that takes one can read it.

#include <cstdint>
#include <filesystem>
#include <vector>

#include "loopbank/model/language_model.h"
#include "loopbank/tokenize/tokenizer.h"
#include "loopbank/train/optimizer.h"
#include "loopbank/train/run_config.h"
#include "loopbank/train/train_state.h"

namespace loopbank {

struct Checkpoint {
  int64_t step = 0;
  std::filesystem::path path;
};

/// `OUT/checkpoints/step-000100`.
[[nodiscard]] std::filesystem::path checkpoint_path(const std::filesystem::path& out, int64_t step);

/// Those of a run directory, newest first; empty if there is no such folder. Their contents are not
/// read.
[[nodiscard]] std::vector<Checkpoint> list_checkpoints(const std::filesystem::path& out);

/// The contents of a checkpoint.
struct RunParts {
  const RunConfig& config;
  const TrainState& state;
  const LanguageModel& model;
  const NamedTensors& moments;  ///< AdamW::state
  const Tokenizer& tokenizer;
};

/// Writes the checkpoint of `state.step` under a temporary name, syncs it and renames it into
/// place. A failure leaves every older checkpoint as it was and removes what was written.
/// @throws Error kCheckpoint, a full disk included
std::filesystem::path save_checkpoint(const std::filesystem::path& out, const RunParts& parts);

/// Compares every file of a checkpoint with its checksum.
/// @throws Error kCheckpoint naming the file that is missing or damaged
void verify_checkpoint(const std::filesystem::path& path);

struct SavedRun {
  TrainState state;
  NamedTensors moments;
};

/// Fills the model from a verified checkpoint of the same config.
/// @throws Error kCheckpoint
[[nodiscard]] SavedRun load_checkpoint(const std::filesystem::path& path, LanguageModel& model);
/// And the optimizer.
[[nodiscard]] TrainState load_checkpoint(const std::filesystem::path& path, LanguageModel& model,
                                         AdamW& optimizer);

/// Renames a damaged checkpoint to `step-000100.damaged`, so that it is not found again nor counted
/// among those to keep.
void set_aside(const Checkpoint& checkpoint);

/// Removes all but the newest `keep` checkpoints. Called once a new one is in place.
void prune_checkpoints(const std::filesystem::path& out, int64_t keep);

}  // namespace loopbank
