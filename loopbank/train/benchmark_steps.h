#pragma once
/// Full training steps on random tokens, one at a time: what `loopbank bench train` times.
///
/// Not here: reading data, validation, checkpoints (train/trainer.h).

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "loopbank/data/sampler.h"
#include "loopbank/model/language_model.h"
#include "loopbank/train/batch_step.h"
#include "loopbank/train/run_config.h"

namespace loopbank {

/// [B, T] tokens and targets of the config's batch, drawn evenly from the vocabulary by its seed.
[[nodiscard]] Batch random_batch(const RunConfig& config, at::Device device);

class BenchmarkSteps {
 public:
  /// A freshly initialised model and one batch of random tokens, both from the config's seed. The
  /// config's precision and sizes are used; its data files are not opened.
  BenchmarkSteps(const RunConfig& config, at::Device device);

  /// One step: forward and backward over the batch, gradient norm, clipping, AdamW.
  /// @return the seconds that it took
  double run();

  /// Tokens of one step, B T.
  [[nodiscard]] int64_t tokens_per_step() const;

 private:
  RunConfig config_;
  ForwardOptions options_;
  LanguageModel model_;
  std::unique_ptr<BatchStep> step_;
  Batch batch_;
};

/// The most memory that was in use at once since the process started, bytes: of the process itself
/// (VmHWM) for the CPU, of LibTorch's allocator for a GPU; 0 where the system does not say.
[[nodiscard]] int64_t peak_memory_bytes(at::Device device);

}  // namespace loopbank
