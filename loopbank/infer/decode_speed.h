#pragma once
/// How fast a model decodes, and the bytes that it must read for it: the bound of what is possible.
///
/// Each token needs every weight once from memory. Further loops of a layer find its weights in the
/// caches where one layer fits there, so the bound counts a weight once a step, however many loops
/// run, and once for all texts of a batch. Keys and values are counted once a token for each slot
/// that its loops read: with one slot a layer all loops read the same ones.

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "loopbank/infer/request.h"
#include "loopbank/model/language_model.h"

namespace loopbank {

struct DecodeSettings {
  InferenceOptions inference{};
  at::ScalarType compute_dtype = at::kFloat;
  int64_t weight_bits = 0;     ///< of products: 8, 4, or 0 for the compute dtype's
  int64_t prompt_tokens = 64;  ///< random ones
  int64_t tokens = 64;         ///< decoded behind them, 2 or more
  int64_t batch = 1;           ///< texts that are written at the same time
};

struct DecodeSpeed {
  double tokens_per_second = 0.0;  ///< of all texts together, by the median step
  double weight_bytes = 0.0;       ///< read a step
  double key_value_bytes = 0.0;    ///< read a token, mean over those decoded
  double mean_loops = 0.0;         ///< run by a decoded token, mean over layers
  int64_t kv_bytes_per_token = 0;  ///< that stay of each token
  /// From an engine without prepared weights to the first token of the first text.
  double first_token_seconds = 0.0;

  /// That a token needs from memory: its share of the weights, and keys and values.
  [[nodiscard]] double bytes_per_token(int64_t batch) const {
    return weight_bytes / static_cast<double>(batch) + key_value_bytes;
  }
};

/// Bytes of the weights that a step of decoding reads: all but the rows of the embedding that it
/// does not look up, matrices in the compute dtype and vectors in fp32.
/// @param weight_bits  of the weights of products, with their scales; 0: those of the config
[[nodiscard]] double decoded_weight_bytes(const LanguageModel& model, at::ScalarType compute_dtype,
                                          int64_t weight_bits = 0);

/// Writes random text through the engine and times its steps.
/// @throws Error kConfig for fewer than two tokens, and as Engine::add
[[nodiscard]] DecodeSpeed measure_decoding(const LanguageModel& model,
                                           const DecodeSettings& settings);

}  // namespace loopbank
