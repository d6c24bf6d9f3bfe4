#pragma once
/// A model's parameters as safetensors in one file, or in shards with an index, as Hugging Face
/// libraries write and read them. Read back by model/checkpoint_files.h.
///
///     model.safetensors                     where all of it fits
///     model-00001-of-00003.safetensors ...  else, and
///     model.safetensors.index.json          {"metadata": {"total_size": bytes},
///                                            "weight_map": {parameter: file}}

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "loopbank/model/parameters.h"

namespace loopbank {

struct WeightShards {
  std::vector<std::string> files;  ///< of weights, without the index
  int64_t bytes = 0;               ///< of all parameters
};

/// Writes into an existing folder. Parameters are converted a shard at a time.
/// @param dtype        of what is stored: kFloat, kBFloat16 or kHalf
/// @param shard_bytes  most bytes of parameters in a file; one that is larger has a file of its own
/// @throws Error kData for a value that fp16 does not hold, by its parameter's name
WeightShards write_weights(const Parameters& parameters, const std::filesystem::path& directory,
                           at::ScalarType dtype, int64_t shard_bytes);

}  // namespace loopbank
