#include "loopbank/train/trainer.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/interop/companions.h"
#include "loopbank/model/cost.h"
#include "loopbank/model/weights.h"
#include "loopbank/ops/gemm/gemm_peak.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/log.h"
#include "loopbank/support/progress.h"
#include "loopbank/support/statistics.h"
#include "loopbank/support/stopwatch.h"
#include "loopbank/train/alarms.h"
#include "loopbank/train/batch_step.h"
#include "loopbank/train/checkpoint.h"
#include "loopbank/train/device.h"
#include "loopbank/train/memory_fit.h"
#include "loopbank/train/metrics.h"
#include "loopbank/train/optimizer.h"
#include "loopbank/train/progress_line.h"
#include "loopbank/train/run_data.h"
#include "loopbank/train/run_directory.h"
#include "loopbank/train/run_init.h"
#include "loopbank/train/run_start.h"
#include "loopbank/train/schedule.h"
#include "loopbank/train/validation.h"

namespace loopbank {
namespace {

constexpr const char* kWhat = "training";  // in errors of other ranks
/// How long ranks that are started again wait for those before them to end: torchrun's patience and more.
constexpr double kPredecessorSeconds = 45.0;
constexpr size_t kPaceSteps = 20;  // steps that the shown speed is the mean of

class Run {
 public:
  Run(const RunConfig& config, const TrainOptions& options)
      : config_(validated(config, options)),
        options_(options),
        ranks_(options.ranks),
        speaks_(options.show_progress && ranks_.is_first()),
        device_(device_of_run(config_, ranks_)),
        data_(open_run_data(config_, /*verify_checksums=*/false, resumed_folder(options))),
        model_(config_.model, device_),
        sampler_(data_.train, static_cast<uint64_t>(config_.training.seed)),
        forward_(config_.training.forward_options()),
        alarms_(config_) {
    if (ranks_.is_first()) {
      lock_.emplace(options.out, ranks_.is_alone() ? 0.0 : kPredecessorSeconds);
    }
    if (data_.validation) {
      validator_.emplace(data_.validation, data_.tokenizer, config_.training, ranks_);
    }
  }

  TrainResult to_end() {
    start();
    prepare_progress();
    if (validator_ && state_.step == 0 && !config_.training.init.empty()) {
      validate();  // what the run starts from
    }
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
      if (options_.after_step) {
        options_.after_step(last_step_, model_);
      }
      show();
      stopped = ranks_.is_alone() ? is_asked_to_stop() : stop_agreed_;
      // A run in trouble must not push out the last good checkpoint.
      const bool due = is_due(config_.training.checkpoint_every) && state_.consecutive_skips == 0;
      if (last || stopped || due) {
        save();
      }
    }
    if (state_.step == config_.training.steps) {
      on_first([this] { save_model(model_, options_.out); });
    }
    progress_.finish();
    return result();
  }

 private:
  [[nodiscard]] bool is_due(int64_t every) const { return every > 0 && state_.step % every == 0; }

  [[nodiscard]] bool is_asked_to_stop() const {
    return options_.should_stop && options_.should_stop();
  }

  /// Runs what only the first rank does, while the others wait for it to go well.
  void on_first(const std::function<void()>& work) const {
    ranks_.agree(kWhat, [&] {
      if (ranks_.is_first()) {
        work();
      }
    });
  }

  /// A row of metrics.jsonl, and those of the alarms that it raises.
  void write_row(const nlohmann::ordered_json& row,
                 const std::vector<EventHistogram>& histograms = {}) {
    if (!metrics_) {
      return;
    }
    metrics_->write(row, histograms);
    for (const auto& alert : alarms_.observe(row)) {
      metrics_->write(to_json(alert));
      if (!alert.message.empty()) {
        warn(alert.message);
      }
    }
  }

  void start() {
    if (!ranks_.is_alone()) {
      expect_same_facts(ranks_, facts_of_run(config_, data_, options_.version));
    }
    FoundStart found;
    on_first([&] {
      found = find_start(config_, options_);
      remove_leftovers(options_.out);
    });
    // All ranks read the checkpoint that the first has chosen.
    const auto chosen = ranks_.gather(found.usable ? std::to_string(found.usable->step) : "");
    ranks_.agree(kWhat, [&] {
      if (!chosen.front().empty()) {
        const auto step = std::stoll(chosen.front());
        restore({.step = step, .path = checkpoint_path(options_.out, step)});
      } else {
        begin();
      }
    });
    if (!ranks_.is_alone()) {
      expect_same_facts(ranks_, {{"checkpoint", to_json(state_).dump()},
                                 {"weights of training.init", config_.training.init_hash}});
    }
    on_first([&] {
      for (const auto& damaged : found.damaged) {
        set_aside(damaged);
      }
      data_.tokenizer.save(options_.out / "tokenizer.json");
      if (const auto& init = config_.training.init; !init.empty()) {
        copy_companions(init, options_.out);
      }
      write_file_atomically(options_.out / "run.toml", to_toml(config_), ErrorCode::kCheckpoint);
      metrics_.emplace(options_.out / "metrics.jsonl", found.usable ? state_.step : -1,
                       config_.training.tensorboard);
      alarms_.replay(options_.out / "metrics.jsonl");
    });
  }

  /// The state before the first step.
  void begin() {
    const auto& training = config_.training;
    if (training.init.empty()) {
      model_.parameters().initialize(static_cast<uint64_t>(training.seed));
    } else {
      config_.training.init_hash = start_from_init(model_, training);
      state_.added_parameters = added_parameters(model_);
    }
    step_ = make_batch_step(model_, config_, ranks_);
    state_.sampler = sampler_.state();
    state_.train_file_tokens = data_.train_tokens();
  }

  void restore(const Checkpoint& checkpoint) {
    const auto saved = load_checkpoint(checkpoint.path, model_);
    state_ = saved.state;
    if (!config_.training.init.empty()) {
      set_added_parameters(model_, state_.added_parameters);
    }
    step_ = make_batch_step(model_, config_, ranks_);
    step_->restore(saved.moments, state_.optimizer_steps);
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
    if (speaks_) {
      log_info("Resuming from {}", checkpoint.path.string());
    }
  }

  void prepare_progress() {
    pace_.steps = config_.training.steps;
    if (speaks_) {
      pace_.flops_per_token =
          model_cost(config_.model, config_.training.sequence_length).training_flops;
      pace_.gemm_peak = ops::measure_gemm_peak(forward_.compute_dtype, device_);
    }
  }

  void take_step() {
    const ReproducibleScope reproducible(device_);
    const Stopwatch watch;
    const auto& training = config_.training;
    const auto batch = sampler_.next(training.batch, training.sequence_length);
    forward_.ponder_weight =
        ponder_weight_at(config_.model.ponder_weight, training.ponder_warmup_fraction,
                         state_.step + 1, training.steps);
    const double rate = learning_rate_at(config_.schedule, state_.step + 1, training.steps);
    const auto [found, finite] = step_->take(
        batch, forward_, {.learning_rate = rate, .clip_norm = config_.optimizer.clip_norm},
        !ranks_.is_alone() && is_asked_to_stop());
    const auto& measured = found.loss;
    const double norm = found.norm;
    stop_agreed_ = found.should_stop;
    ++state_.step;
    const double seconds = watch.seconds();

    const auto tokens = training.batch * training.sequence_length;
    const double sum =
        std::accumulate(measured.loops_by_layer.begin(), measured.loops_by_layer.end(), 0.0);
    state_.tokens += tokens;
    state_.optimizer_steps = step_->steps();
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
    write_row(to_json(last_step_));
    count_skips(finite);
  }

  void warn(const std::string& text) {
    if (ranks_.is_first()) {
      progress_.finish();
      log_warning("{}", text);
    }
  }

  void count_skips(bool finite) {
    if (finite) {
      state_.consecutive_skips = 0;
      return;
    }
    ++state_.skipped_steps;
    ++state_.consecutive_skips;
    if (state_.consecutive_skips < kMaxSkippedSteps) {
      warn(fmt::format("step {}: loss {}, gradient norm {}: left out, {} in a row.", state_.step,
                       last_step_.loss, last_step_.gradient_norm, state_.consecutive_skips));
      return;
    }
    progress_.finish();
    if (metrics_) {
      metrics_->sync();
    }
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
    write_row(to_json(last_validation_), last_validation_.halting);
  }

  void evaluate() {
    last_evaluation_ = options_.evaluate(model_);
    for (auto& row : last_evaluation_) {
      row.step = state_.step;
      write_row(to_json(row));
    }
  }

  void save() {
    const auto moments = step_->moments();
    on_first([&] {
      metrics_->sync();
      save_checkpoint(options_.out, {.config = config_,
                                     .state = state_,
                                     .model = model_,
                                     .moments = moments,
                                     .tokenizer = data_.tokenizer});
      prune_checkpoints(options_.out, config_.training.keep_checkpoints);
    });
  }

  void show() {
    if (!speaks_) {
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
  Ranks ranks_;
  bool speaks_;  // to people, about its progress
  at::Device device_;
  RunData data_;
  std::optional<RunLock> lock_;  // the first rank's
  LanguageModel model_;
  std::unique_ptr<BatchStep> step_;  // made once it is known where the weights come from
  bool stop_agreed_ = false;         // by all ranks, in the last step
  BatchSampler sampler_;
  ForwardOptions forward_;
  std::optional<Validator> validator_;
  TrainState state_;
  std::optional<MetricsLog> metrics_;  // the first rank's
  Alarms alarms_;
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
    std::optional<Run> run;
    options.ranks.agree(kWhat, [&] { run.emplace(config, options); });
    return run->to_end();
  } catch (const c10::OutOfMemoryError& error) {
    fail_out_of_memory(error, options.out.string(),
                       "Lower training.micro_batch, or set training.recompute to \"loop\" or "
                       "\"layer\"; what is saved goes on with --resume");
  }
}

}  // namespace loopbank
