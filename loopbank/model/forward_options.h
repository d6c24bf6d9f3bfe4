#pragma once
/// What the caller of a forward pass decides: number type, loop budget, what it stands in, recorder.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "loopbank/model/inference_context.h"
#include "loopbank/model/recorder.h"

namespace loopbank {

/// What a training step computes again in its backward pass instead of keeping it.
enum class Recompute {
  kNone,
  kLoop,   ///< every loop of an adaptive layer, every dense layer: their inputs are kept
  kLayer,  ///< every layer: its input is kept
};

class PreparedModel;

struct ForwardOptions {
  at::ScalarType compute_dtype = at::kFloat;  ///< kFloat or kBFloat16 (kDouble in tests)
  int64_t max_loops = 0;                      ///< loop budget; 0: each layer's own N
  bool reads_memory = true;                   ///< false: e^(t) = h^(t-1), as without banks
  /// Of a pass of inference: its tokens [1, R] belong to texts whose earlier tokens are not read
  /// again.
  InferenceContext* context = nullptr;
  /// Weights prepared by an earlier pass of the same model and compute type; inference only.
  PreparedModel* prepared = nullptr;
  Recorder* recorder = nullptr;
  Recompute recompute = Recompute::kNone;  ///< without a context or a recorder, with gradients
  /// Of the ponder term in `loss`; absent: the model's own.
  std::optional<double> ponder_weight = {};
};

}  // namespace loopbank
