#pragma once
/// One run from config to checkpoint: batches in, optimizer steps, metrics, validation, saving.
///
/// What a run directory holds:
///   config.json, model.safetensors, tokenizer.json   the model after the last step, as published
///   run.toml                                          the whole run config
///   metrics.jsonl                                     a line a step, and one per validation
///   checkpoints/step-000100/                          complete states to resume from

#include <cstdint>
#include <filesystem>
#include <functional>

#include "loopbank/train/run_config.h"

namespace loopbank {

enum class ResumeMode {
  kNew,     ///< the directory must not hold a run yet
  kResume,  ///< continue from the newest complete checkpoint; start anew where there is none
};

struct TrainOptions {
  std::filesystem::path out;
  ResumeMode resume = ResumeMode::kNew;
  bool show_progress = true;
  /// Asked after every step: true saves and stops (signals, tests, budgets).
  std::function<bool()> should_stop;
};

struct TrainResult {
  int64_t steps = 0;
  bool finished = false;  ///< false when stopped before the last step
  double loss = 0.0;      ///< of the last step
  double validation_loss = 0.0;
  double validation_bpb = 0.0;
  double mean_loops = 0.0;
  double tokens_per_second = 0.0;  ///< median over the steps of this call
  double train_seconds = 0.0;      ///< time in steps alone, validation and saving left out
};

/// Runs the config to its end or to `should_stop`.
TrainResult train(const RunConfig& config, const TrainOptions& options);

}  // namespace loopbank
