#pragma once
/// What training a model takes of memory at its peak. Pure arithmetic on a config, by what each
/// part of the model keeps for its backward pass.
///
/// The peak is one moment and not the sum of all that there is in a step: the backward pass frees
/// what a layer kept before the gradients of the layers below it are there.

#include <cstdint>

#include "loopbank/model/config.h"
#include "loopbank/model/cost.h"
#include "loopbank/model/forward_options.h"

namespace loopbank {

/// The program before it has a model, and what its threads work in: LibTorch, oneDNN with its
/// generated code, scratchpads. Measured with Debian's LibTorch as the peak of a model of next to
/// nothing; other builds differ by some ten MB.
constexpr double kProgramBytes = 170e6;
/// The same on a GPU: CUDA's context and what cuBLAS and cuDNN work in. An assumption that no card
/// has confirmed.
constexpr double kDeviceProgramBytes = 600e6;

/// One forward and backward pass.
struct BatchShape {
  int64_t sequences = 1;                   ///< rows of a pass (micro-batch)
  int64_t sequence_length = 1;             ///< T, tokens
  bool low_precision = false;              ///< bf16 compute over fp32 master weights
  bool fused = false;                      ///< the fused ops of the CPU; false: a GPU
  Recompute recompute = Recompute::kNone;  ///< what the backward pass computes again
  bool accumulates = false;                ///< several passes a step, which add up gradients
  int64_t ranks = 1;             ///< processes that share the batch, each with a whole model
  bool shards_optimizer = true;  ///< of several ranks each keeps its part of the moments (ZeRO-1)
};

/// Bytes that training holds at its peak, by part: weights, low_precision_weights, gradients,
/// optimizer (two AdamW moments), activations, logits, workspace (what one layer's backward pass
/// and the products need meanwhile), program, and of several ranks buckets (gradients as they are
/// exchanged).
///
/// On the CPU each part is what the fused ops hold at that moment; the whole is within 10 % of the
/// measured peak (tests/cli/plan_memory_test.cpp). On a GPU it is an estimate that no card has
/// confirmed: own kernels, flash attention, logits of some rows at a time.
[[nodiscard]] CostByPart training_memory(const ModelConfig& config, const BatchShape& batch);

}  // namespace loopbank
