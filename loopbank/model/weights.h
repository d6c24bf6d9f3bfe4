#pragma once
/// A model directory in and out: config.json, model.safetensors, tokenizer.json.
///
/// Where the config has `quantization_bits`, the matrices of products are stored as NAME.codes and
/// NAME.scales (ops/quantization.h): those of attention, feed-forward, head, memory projections and
/// memory gates, and the embedding where it is the head too. They are what a token reads. All
/// else stays fp32: an embedding that is only looked up costs a row a token, norms, biases, loop
/// scales and the router are small, and banks are read through a softmax over their keys, whose
/// products are not those of these weights.

#include <cstdint>
#include <filesystem>
#include <string>

#include "loopbank/model/language_model.h"

namespace loopbank {

/// Whether the parameter is a matrix of a product, which is stored in 8 or 4 bit where anything is.
[[nodiscard]] bool is_quantizable(const Parameter& parameter, const ModelConfig& config);

/// Writes config.json and model.safetensors into an existing folder, each atomically.
/// @param quantization_bits  8 or 4, or 0: fp32. A model that was loaded from 8 or 4 bit gives the
///                           same codes and scales again.
/// @throws Error kData for weights that cannot be quantized: not finite
void save_model(const LanguageModel& model, const std::filesystem::path& directory,
                int64_t quantization_bits);
/// The same with the bits of the model's config.
void save_model(const LanguageModel& model, const std::filesystem::path& directory);

/// Loads a model directory. Stored bf16, fp16 and fp64 weights are converted to fp32, and those of 8
/// and 4 bit to the fp32 values that they stand for. On the CPU, weights of fp32 are not read: they
/// stay in the file until they are used (map_safetensors).
/// @throws Error kCheckpoint for a missing, unknown or wrongly shaped parameter, by its name
[[nodiscard]] LanguageModel load_model(const std::filesystem::path& directory,
                                       at::Device device = at::kCPU);

/// Copies the parameters of a safetensors file into an existing model.
/// @throws Error kCheckpoint as load_model does
void load_weights(LanguageModel& model, const std::filesystem::path& file);

}  // namespace loopbank
