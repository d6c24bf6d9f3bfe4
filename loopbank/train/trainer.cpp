#include "loopbank/train/trainer.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <vector>

#include "loopbank/model/cost.h"
#include "loopbank/model/weights.h"
#include "loopbank/ops/gemm/gemm_peak.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/log.h"
#include "loopbank/support/progress.h"
#include "loopbank/support/statistics.h"
#include "loopbank/support/stopwatch.h"
#include "loopbank/train/checkpoint.h"
#include "loopbank/train/device.h"
#include "loopbank/train/halting_alarm.h"
#include "loopbank/train/memory_fit.h"
#include "loopbank/train/metrics.h"
#include "loopbank/train/optimizer.h"
#include "loopbank/train/progress_line.h"
#include "loopbank/train/run_data.h"
#include "loopbank/train/run_directory.h"
#include "loopbank/train/schedule.h"
#include "loopbank/train/train_step.h"
#include "loopbank/train/validation.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPaceSteps = 20;  // steps that the shown speed is the mean of

RunConfig validated(const RunConfig& config, const TrainOptions& options) {
  auto copy = config;
  copy.validate();
  if (!copy.evaluation.tasks.empty() && !options.evaluate) {
    fail(ErrorCode::kConfig,
         "evaluation: \"tasks\" expects a run that scores tasks, got one that does not. Leave it "
         "empty or take loopbank train.");
  }
  return copy;
}

/// The newest checkpoint whose files are all as they were written, and the damaged ones before it.
struct Found {
  std::optional<Checkpoint> usable;
  std::vector<Checkpoint> damaged;
};

Found find_checkpoint(const fs::path& out) {
  Found found;
  for (const auto& checkpoint : list_checkpoints(out)) {
    try {
      verify_checkpoint(checkpoint.path);
      found.usable = checkpoint;
      return found;
    } catch (const Error& error) {
      log_warning("{} Trying the checkpoint before.", error.what());
      found.damaged.push_back(checkpoint);
    }
  }
  if (!found.damaged.empty()) {
    fail(ErrorCode::kCheckpoint,
         "{}: expected a complete checkpoint, got {} that are damaged, the newest {}. Start a new "
         "run in another --out.",
         out.string(), found.damaged.size(), found.damaged.front().path.filename().string());
  }
  return found;
}

/// The checkpoint to continue from, after the run in the folder was found to be the same as
/// `config`; nothing where the run starts anew.
Found find_start(const RunConfig& config, const TrainOptions& options) {
  if (options.resume == ResumeMode::kNew) {
    expect_no_run(options.out);
    return {};
  }
  auto found = find_checkpoint(options.out);
  if (found.usable) {
    expect_same_run(found.usable->path / "run.toml", config);
    return found;
  }
  if (fs::exists(options.out / "run.toml")) {
    expect_same_run(options.out / "run.toml", config);
  }
  if (fs::exists(options.out / "model.safetensors")) {
    fail(ErrorCode::kCheckpoint,
         "{}: expected a checkpoint to resume from, got a model.safetensors and none. Choose "
         "another --out to train anew.",
         options.out.string());
  }
  return found;
}

/// The device, found to have room for the run.
at::Device device_for(const RunConfig& config) {
  const auto device = choose_device(config.training.device);
  if (const auto free = free_memory_bytes(device)) {
    expect_enough_memory(config, static_cast<double>(*free), device.str());
  }
  return device;
}

class Run {
 public:
  Run(const RunConfig& config, const TrainOptions& options)
      : config_(validated(config, options)),
        options_(options),
        device_(device_for(config_)),
        data_(open_run_data(config_)),
        lock_(options.out),
        model_(config_.model, device_),
        optimizer_(model_.parameters(), config_.optimizer),
        sampler_(data_.train, static_cast<uint64_t>(config_.training.seed)),
        forward_(config_.training.forward_options()),
        alarm_(config_) {
    if (data_.validation) {
      validator_.emplace(data_.validation, data_.tokenizer, config_.training);
    }
  }

  TrainResult to_end() {
    start();
    prepare_progress();
    bool stopped = false;
    while (state_.step < config_.training.steps && !stopped) {
      take_step();
      const bool last = state_.step == config_.training.steps;
      if (validator_ && (last || is_due(config_.training.validate_every))) {
        validate();
      }
      if (options_.evaluate && (last || is_due(config_.evaluation.every))) {
        evaluate();
      }
      show();
      stopped = options_.should_stop && options_.should_stop();
      // A run in trouble must not push out the last good checkpoint.
      const bool due = is_due(config_.training.checkpoint_every) && state_.consecutive_skips == 0;
      if (last || stopped || due) {
        save();
      }
    }
    if (state_.step == config_.training.steps) {
      save_model(model_, options_.out);
    }
    progress_.finish();
    return result();
  }

 private:
  [[nodiscard]] bool is_due(int64_t every) const { return every > 0 && state_.step % every == 0; }

  void start() {
    const auto found = find_start(config_, options_);
    remove_leftovers(options_.out);
    if (found.usable) {
      restore(*found.usable);
    } else {
      model_.parameters().initialize(static_cast<uint64_t>(config_.training.seed));
      state_.sampler = sampler_.state();
      state_.train_file_tokens = data_.train_tokens();
    }
    for (const auto& damaged : found.damaged) {
      set_aside(damaged);
    }
    data_.tokenizer.save(options_.out / "tokenizer.json");
    write_file_atomically(options_.out / "run.toml", to_toml(config_), ErrorCode::kCheckpoint);
    metrics_.emplace(options_.out / "metrics.jsonl", state_.step);
    alarm_.replay(options_.out / "metrics.jsonl");
  }

  void restore(const Checkpoint& checkpoint) {
    state_ = load_checkpoint(checkpoint.path, model_, optimizer_);
    if (state_.train_file_tokens != data_.train_tokens()) {
      fail(ErrorCode::kData,
           "{}: expected the {} tokens with which the run was started, got {} tokens. Put those "
           "files back or start a new run in another --out.",
           config_.data.train.joined(), state_.train_file_tokens, data_.train_tokens());
    }
    sampler_.restore(state_.sampler);
    last_validation_.step = state_.validation_step;
    last_validation_.loss = state_.validation_loss;
    last_validation_.bpb = state_.validation_bpb;
    if (options_.show_progress) {
      log_info("Resuming from {}", checkpoint.path.string());
    }
  }

  void prepare_progress() {
    pace_.steps = config_.training.steps;
    if (options_.show_progress) {
      pace_.flops_per_token =
          model_cost(config_.model, config_.training.sequence_length).training_flops;
      pace_.gemm_peak = ops::measure_gemm_peak(forward_.compute_dtype, device_);
    }
  }

  void take_step() {
    const ReproducibleScope reproducible(device_);
    const Stopwatch watch;
    const auto& training = config_.training;
    const auto rows = training.micro_batch > 0 ? training.micro_batch : training.batch;
    const auto batch = sampler_.next(training.batch, training.sequence_length);
    forward_.ponder_weight =
        ponder_weight_at(config_.model.ponder_weight, training.ponder_warmup_fraction,
                         state_.step + 1, training.steps);
    ++state_.step;
    const double rate = learning_rate_at(config_.schedule, state_.step, training.steps);
    const auto [measured, norm, finite] = loopbank::take_step(
        model_, optimizer_, batch,
        {.rows_a_pass = rows, .learning_rate = rate, .clip_norm = config_.optimizer.clip_norm},
        forward_);
    const double seconds = watch.seconds();

    const auto tokens = training.batch * training.sequence_length;
    const double sum =
        std::accumulate(measured.loops_by_layer.begin(), measured.loops_by_layer.end(), 0.0);
    state_.tokens += tokens;
    state_.optimizer_steps = optimizer_.steps();
    state_.sampler = sampler_.state();
    state_.loss = measured.loss;
    state_.mean_loops = sum / static_cast<double>(measured.loops_by_layer.size());
    state_.train_seconds += seconds;
    step_seconds_.push_back(seconds);
    last_step_ = {.step = state_.step,
                  .loss = measured.loss,
                  .tokens = state_.tokens,
                  .tokens_per_second = static_cast<double>(tokens) / seconds,
                  .mean_loops = state_.mean_loops,
                  .learning_rate = rate,
                  .gradient_norm = norm,
                  .ponder = measured.ponder,
                  .skipped = !finite};
    if (config_.model.most_loops() > 0) {
      last_step_.loops_by_layer = measured.loops_by_layer;
      if (config_.model.ponder_weight > 0.0) {
        last_step_.ponder_weight = forward_.ponder_weight;
      }
    }
    metrics_->write(to_json(last_step_));
    count_skips(finite);
    watch_halting();
  }

  void watch_halting() {
    for (const auto& alert : alarm_.observe(state_.step, last_step_.loops_by_layer)) {
      metrics_->write(to_json(alert));
      progress_.finish();
      log_warning("{}", message(alert, config_));
    }
  }

  void count_skips(bool finite) {
    if (finite) {
      state_.consecutive_skips = 0;
      return;
    }
    ++state_.skipped_steps;
    ++state_.consecutive_skips;
    progress_.finish();
    if (state_.consecutive_skips < kMaxSkippedSteps) {
      log_warning("step {}: loss {}, gradient norm {}: left out, {} in a row.", state_.step,
                  last_step_.loss, last_step_.gradient_norm, state_.consecutive_skips);
      return;
    }
    metrics_->sync();
    const auto saved = list_checkpoints(options_.out);
    fail(ErrorCode::kConfig,
         "training: expected a finite loss and gradient, got loss {} and gradient norm {} at step "
         "{}, the {}th step in a row. Lower schedule.peak_rate ({}) in a new run. Last "
         "checkpoint: {}.",
         last_step_.loss, last_step_.gradient_norm, state_.step, state_.consecutive_skips,
         config_.schedule.peak_rate, saved.empty() ? "none" : saved.front().path.string());
  }

  void validate() {
    last_validation_ = validator_->validate(model_, state_.step, forward_);
    state_.validation_step = state_.step;
    state_.validation_loss = last_validation_.loss;
    state_.validation_bpb = last_validation_.bpb;
    metrics_->write(to_json(last_validation_));
  }

  void evaluate() {
    last_evaluation_ = options_.evaluate(model_);
    for (auto& row : last_evaluation_) {
      row.step = state_.step;
      metrics_->write(to_json(row));
    }
  }

  void save() {
    metrics_->sync();
    save_checkpoint(options_.out, {.config = config_,
                                   .state = state_,
                                   .model = model_,
                                   .optimizer = optimizer_,
                                   .tokenizer = data_.tokenizer});
    prune_checkpoints(options_.out, config_.training.keep_checkpoints);
  }

  void show() {
    if (!options_.show_progress) {
      return;
    }
    const auto count = std::min(kPaceSteps, step_seconds_.size());
    const double seconds = std::accumulate(step_seconds_.end() - static_cast<std::ptrdiff_t>(count),
                                           step_seconds_.end(), 0.0);
    pace_.seconds_a_step = seconds / static_cast<double>(count);
    pace_.tokens_per_second =
        static_cast<double>(config_.training.batch * config_.training.sequence_length) /
        pace_.seconds_a_step;
    progress_.update(progress_line(last_step_, last_validation_, pace_, last_evaluation_));
  }

  [[nodiscard]] TrainResult result() const {
    const double seconds = median(step_seconds_);
    const auto tokens = config_.training.batch * config_.training.sequence_length;
    return {.steps = state_.step,
            .finished = state_.step == config_.training.steps,
            .loss = state_.loss,
            .validation_loss = state_.validation_loss,
            .validation_bpb = state_.validation_bpb,
            .mean_loops = state_.mean_loops,
            .tokens_per_second = seconds > 0 ? static_cast<double>(tokens) / seconds : 0.0,
            .train_seconds = state_.train_seconds,
            .evaluation = last_evaluation_};
  }

  RunConfig config_;
  const TrainOptions& options_;
  at::Device device_;
  RunData data_;
  RunLock lock_;
  LanguageModel model_;
  AdamW optimizer_;
  BatchSampler sampler_;
  ForwardOptions forward_;
  std::optional<Validator> validator_;
  TrainState state_;
  std::optional<MetricsLog> metrics_;
  HaltingAlarm alarm_;
  Progress progress_;
  RunPace pace_;
  StepMetrics last_step_;
  ValidationMetrics last_validation_;
  std::vector<EvaluationMetrics> last_evaluation_;
  std::vector<double> step_seconds_;  // of this call
};

}  // namespace

TrainResult train(const RunConfig& config, const TrainOptions& options) {
  try {
    return Run(config, options).to_end();
  } catch (const c10::OutOfMemoryError& error) {
    fail_out_of_memory(error, options.out.string(),
                       "Lower training.micro_batch, or set training.recompute to \"loop\" or "
                       "\"layer\"; what is saved goes on with --resume.");
  }
}

RunCheck check_run(const RunConfig& config, const TrainOptions& options) {
  const auto checked = validated(config, options);
  (void)device_for(checked);
  const auto data = open_run_data(checked, /*verify_checksums=*/true);
  const auto found = find_start(checked, options);
  std::vector<SourceCheck> sources;
  for (const auto& [source, weight] : data.train) {
    sources.push_back({.path = source->path().string(),
                       .format = source->format().name,
                       .tokens = source->num_tokens(),
                       .documents = source->num_documents(),
                       .weight = weight,
                       .epochs = weight * data.epochs(checked.training) *
                                 static_cast<double>(data.train_tokens()) /
                                 static_cast<double>(source->num_tokens())});
  }
  return {.train_tokens = data.train_tokens(),
          .train_documents = data.train_documents(),
          .sources = std::move(sources),
          .validation_tokens = data.validation ? data.validation->num_tokens() : 0,
          .epochs = data.epochs(checked.training),
          .first_step = found.usable ? found.usable->step + 1 : 1};
}

}  // namespace loopbank
