#pragma once
/// A model directory in and out: config.json, model.safetensors, tokenizer.json.

#include <filesystem>
#include <string>

#include "loopbank/model/language_model.h"

namespace loopbank {

/// Writes config.json and model.safetensors into an existing folder, each atomically.
void save_model(const LanguageModel& model, const std::filesystem::path& directory);

/// Loads a model directory. Stored bf16, fp16 and fp64 weights are converted to fp32.
/// @throws Error kCheckpoint for a missing, unknown or wrongly shaped parameter, by its name
[[nodiscard]] LanguageModel load_model(const std::filesystem::path& directory,
                                       at::Device device = at::kCPU);

/// Copies the parameters of a safetensors file into an existing model.
void load_weights(LanguageModel& model, const std::filesystem::path& file);

}  // namespace loopbank
