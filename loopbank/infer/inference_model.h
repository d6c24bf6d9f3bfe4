#pragma once
/// A model directory ready for use: weights and the tokenizer that belongs to them.

#include <ATen/core/Tensor.h>

#include <filesystem>

#include "loopbank/model/language_model.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

struct InferenceModel {
  LanguageModel model;
  Tokenizer tokenizer;
};

/// Loads config.json, model.safetensors and tokenizer.json of a folder.
/// @throws Error kCheckpoint for a missing or broken part, and for a tokenizer with more ids than
///   the model's vocabulary
[[nodiscard]] InferenceModel load_inference_model(const std::filesystem::path& directory,
                                                  at::Device device = at::kCPU);

}  // namespace loopbank
