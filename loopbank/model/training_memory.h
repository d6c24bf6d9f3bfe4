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

/// One forward and backward pass.
struct BatchShape {
  int64_t sequences = 1;                   ///< rows of a pass (micro-batch)
  int64_t sequence_length = 1;             ///< T, tokens
  bool low_precision = false;              ///< bf16 compute over fp32 master weights
  bool fused = false;                      ///< fused ops: what they keep, and never all logits
  Recompute recompute = Recompute::kNone;  ///< what the backward pass computes again
  bool accumulates = false;                ///< several passes a step, which add up gradients
};

/// Bytes that training holds at its peak, by part: weights, low_precision_weights, gradients,
/// optimizer (two AdamW moments), activations, logits, workspace (what one layer's backward pass
/// and the products need meanwhile), program.
///
/// With fused ops (the CPU) each part is what it holds at that moment; the whole is within 10 % of
/// the measured peak (tests/study/plan_memory_test.cpp). Without them (a GPU) it is an estimate:
/// every kept value once and all gradients, no workspace and no program.
[[nodiscard]] CostByPart training_memory(const ModelConfig& config, const BatchShape& batch);

}  // namespace loopbank
