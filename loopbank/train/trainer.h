#pragma once
/// One run from config to checkpoint: batches in, optimizer steps, metrics, validation, saving.
///
/// What a run directory holds:
///   config.json, model.safetensors, tokenizer.json   the model after the last step, as published
///   run.toml                                          the whole run config
///   metrics.jsonl                                     a line per step, validation, evaluated task
///                                                     and halting alarm
///   events.out.tfevents.TIME.loopbank                 the same for TensorBoard (event_log.h)
///   checkpoints/step-000100/                          complete states to resume from
///
/// Killed at any instant and resumed, a run gives the same losses and the same weights bit for bit
/// as one that was never stopped (on the same machine with the same number of threads): a
/// checkpoint appears whole or not at all, and whatever came after it is redone.
///
/// Several ranks share the passes of a step (batch_step.h). Batch, order of the data and every random
/// stream are those of one process, and so is a checkpoint: it resumes on any number of ranks. Losses
/// and weights are those of one process with the same passes: bit for bit on the CPU where each rank
/// has one pass, else to the rounding of sums in another order.
///
/// A step whose loss or gradient is not finite is skipped: the weights stay as they are, its batch
/// and its place in the schedule are used up. kMaxSkippedSteps of them in a row end the run.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "loopbank/model/language_model.h"
#include "loopbank/ranks/ranks.h"
#include "loopbank/train/metrics.h"
#include "loopbank/train/run_config.h"

namespace loopbank {

/// Consecutive steps without a finite loss and gradient that end a run.
constexpr int64_t kMaxSkippedSteps = 10;

enum class ResumeMode {
  kNew,     ///< the directory must not contain a run yet
  kResume,  ///< continue from the newest complete checkpoint, or start if there is none
};

struct TrainOptions {
  std::filesystem::path out;
  ResumeMode resume = ResumeMode::kNew;
  bool show_progress = true;
  /// Asked after every step: true saves and stops (signals, tests, budgets).
  std::function<bool()> should_stop;
  /// Scores the model when [evaluation] says so: tasks belong to a higher floor, so the caller
  /// provides what scores them. Its time does not count as training.
  /// Every rank calls it.
  std::function<std::vector<EvaluationMetrics>(const LanguageModel& model)> evaluate = {};
  /// Called after every step, its validation included, with what the step measured. Its time does not
  /// count as training. Every rank calls it.
  std::function<void(const StepMetrics& step, const LanguageModel& model)> after_step = {};
  /// Who computes: this process alone, or one of several, which all call `train`. The first writes the
  /// run directory; the others read checkpoints from it.
  Ranks ranks = {};
  std::string version = {};  ///< of the program, which all ranks must share
};

struct TrainResult {
  int64_t steps = 0;
  bool finished = false;  ///< false when stopped before the last step
  double loss = 0.0;      ///< of the last step
  double validation_loss = 0.0;
  double validation_bpb = 0.0;
  double mean_loops = 0.0;
  double tokens_per_second = 0.0;  ///< median over the steps of this call
  double train_seconds = 0.0;      ///< time in steps only, without validation and saving
  std::vector<EvaluationMetrics> evaluation = {};  ///< the last of this call
};

/// Runs the config to its end or to `should_stop`.
/// @throws Error kConfig for a config that does not validate, differs from the resumed run's, or
///   whose losses are not finite; kData for broken or foreign data; kCheckpoint for a directory
///   that already holds a run or cannot be read or written (a full disk); kDevice; kRanks for
///   ranks that differ or are gone. Whatever was saved stays.
TrainResult train(const RunConfig& config, const TrainOptions& options);

/// One of the sources that a run trains on.
struct SourceCheck {
  std::string path;
  std::string format;  ///< its name
  int64_t tokens = 0;
  int64_t documents = 0;
  double weight = 1.0;  ///< share of the run's tokens
  double epochs = 0.0;  ///< of this source
};

/// What a run would start with.
struct RunCheck {
  int64_t train_tokens = 0;  ///< of all sources
  int64_t train_documents = 0;
  std::vector<SourceCheck> sources{};
  int64_t validation_tokens = 0;  ///< 0: no validation
  double epochs = 0.0;            ///< tokens of the run over those of the sources
  int64_t first_step = 1;         ///< above 1 if it would continue from a checkpoint
};

/// Checks everything that `train` checks before its first step, including the checksums of the
/// token sources and of the checkpoint, and writes nothing.
/// @throws Error as `train`
[[nodiscard]] RunCheck check_run(const RunConfig& config, const TrainOptions& options);

}  // namespace loopbank
