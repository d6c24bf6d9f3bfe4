#pragma once
/// What weights of fewer bits cost a model, on a text: bits per byte, and how its predictions differ
/// from those by weights in bf16. A layer's loops read the same weights, so that errors add up
/// over them.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>

#include "loopbank/data/sampler.h"
#include "loopbank/model/language_model.h"

namespace loopbank {

struct QuantizationError {
  int64_t bits = 8;
  int64_t tokens = 0;  ///< scored
  double bpb = 0.0;    ///< with weights of as many bits; the rest in bf16
  double bpb_bf16 = 0.0;
  double kl = 0.0;              ///< KL(bf16 || bits), nats, mean over tokens
  double top1_agreement = 0.0;  ///< share of tokens with the same most probable successor
};

/// Reads the rows twice through engines that differ in the bits of the weights alone.
///
/// @param rows       tokens and targets [B, T] int64
/// @param num_bytes  that the targets stand for
/// @param bits       8 or 4
[[nodiscard]] QuantizationError measure_quantization(const LanguageModel& model, const Batch& rows,
                                                     int64_t num_bytes, int64_t bits);

/// The "quantization" object of docs/formats.md.
[[nodiscard]] nlohmann::ordered_json to_json(const QuantizationError& error);

}  // namespace loopbank
