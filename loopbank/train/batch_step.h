#pragma once
/// One training step, by one process or by many ranks together: gradients of a batch, their norm, and
/// the optimizer's step.

#include <cstdint>
#include <memory>
#include <vector>

#include "loopbank/data/sampler.h"
#include "loopbank/model/language_model.h"
#include "loopbank/model/safetensors.h"
#include "loopbank/ranks/ranks.h"
#include "loopbank/train/run_config.h"
#include "loopbank/train/train_step.h"

namespace loopbank {

/// Rows of a pass so that every rank has at least one: micro_batch where it is set, else the batch in
/// as few equal passes as there are ranks, or the next number of passes that divides it.
[[nodiscard]] int64_t rows_a_pass(const TrainingConfig& training, int64_t ranks);

/// The passes of a rank: the K passes in one run a rank, the first ranks one more where K is not a
/// multiple of their number.
[[nodiscard]] PassRange passes_of(const TrainingConfig& training, int64_t rank, int64_t ranks);

/// What the gradients of a step say, on all ranks the same.
struct StepGradients {
  BatchLoss loss;
  double norm = 0.0;
  bool should_stop = false;  ///< a rank was asked to stop
};

struct StepRates {
  double learning_rate = 0.0;
  double clip_norm = 0.0;  ///< 0: no clipping
};

struct StepTaken {
  StepGradients found;
  bool finite = true;  ///< loss and norm are: otherwise the weights were left as they are
};

class BatchStep {
 public:
  virtual ~BatchStep() = default;
  BatchStep() = default;
  BatchStep(const BatchStep&) = delete;
  BatchStep& operator=(const BatchStep&) = delete;

  /// One step: gradients, their norm, clipping, AdamW where loss and norm are finite; the parameters
  /// then hold no gradients.
  ///
  /// A process alone has a GPU do all of it before anything is read (queued_step.h; LibTorch 2).
  /// @param batch        the whole batch, of which a rank takes its rows
  /// @param wants_stop   whether this rank was asked to stop; the answer holds for all
  [[nodiscard]] virtual StepTaken take(const Batch& batch, const ForwardOptions& options,
                                       const StepRates& rates, bool wants_stop);

  /// Steps of the optimizer.
  [[nodiscard]] virtual int64_t steps() const = 0;
  /// Both moments of every parameter (optimizer.h), on the first rank; all ranks call it.
  [[nodiscard]] virtual NamedTensors moments() const = 0;
  /// @throws Error kCheckpoint as AdamW::restore
  virtual void restore(const NamedTensors& moments, int64_t steps) = 0;

 protected:
  [[nodiscard]] virtual StepGradients gradients(const Batch& batch, const ForwardOptions& options,
                                                bool wants_stop) = 0;
  /// The optimizer's step with them.
  virtual void apply(double learning_rate, double gradient_scale) = 0;
  /// Drops them: after `apply`, or in its place.
  virtual void clear() = 0;
};

/// @param model  its parameters are kept
[[nodiscard]] std::unique_ptr<BatchStep> make_batch_step(const LanguageModel& model,
                                                         const RunConfig& config,
                                                         const Ranks& ranks);

}  // namespace loopbank
