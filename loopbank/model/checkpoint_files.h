#pragma once
/// The safetensors files of a model directory: one, or the shards that an index names.
///
/// A folder holds `model.safetensors`, or `model.safetensors.index.json` ({"weight_map": {tensor:
/// file}}) and the files that it names, as Hugging Face libraries write models above 5 GB. Weights
/// in other formats (pytorch_model.bin, GGUF) are not read: a pickle is a program.

#include <filesystem>
#include <vector>

#include "loopbank/model/safetensors.h"

namespace loopbank {

struct CheckpointFiles {
  std::vector<std::filesystem::path> files;  ///< one, or the shards in the order of their names
  NamedTensors tensors;                      ///< of all files, mapped (map_safetensors)
};

/// @throws Error kCheckpoint where there are no such files, a shard is missing, or shards and index
///   name different tensors: each of them is named
[[nodiscard]] CheckpointFiles map_checkpoint(const std::filesystem::path& directory);

/// Gives a parameter, of the same shape, the stored values: the mapped tensor itself where both are
/// fp32 on the CPU, which the model's parts see through the handles that they have; else a copy.
void take_stored(at::Tensor parameter, const at::Tensor& stored);

}  // namespace loopbank
