#pragma once
/// What the caller of a forward pass decides: number type, loop budget, key/value cache, recorder.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "loopbank/model/key_value_cache.h"
#include "loopbank/model/recorder.h"
#include "loopbank/ops/token_tree.h"

namespace loopbank {

/// What a training step computes again in its backward pass instead of keeping it.
enum class Recompute {
  kNone,
  kLoop,   ///< every loop of an adaptive layer, every dense layer: their inputs are kept
  kLayer,  ///< every layer: its input is kept
};

struct ForwardOptions {
  at::ScalarType compute_dtype = at::kFloat;  ///< kFloat or kBFloat16 (kDouble in tests)
  int64_t max_loops = 0;                      ///< loop budget; 0: each layer's own N
  KeyValueCache* cache = nullptr;             ///< inference only
  /// The tokens [1, T] stand in this tree and not in a row: sequences with shared beginnings, each
  /// beginning computed once. Without a cache.
  const ops::TokenTree* tree = nullptr;
  Recorder* recorder = nullptr;
  Recompute recompute = Recompute::kNone;  ///< without a cache or a recorder, with gradients
  /// Of the ponder term in `loss`; absent: the model's own.
  std::optional<double> ponder_weight = {};
};

}  // namespace loopbank
