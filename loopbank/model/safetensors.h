#pragma once
/// safetensors files: 8 bytes of header length, a JSON header, then the tensors' bytes.
///
/// Reads any file of the format, checking every offset against the file before a byte is used;
/// writes atomically with the tensors in the order given.

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace loopbank {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

struct SafetensorsContent {
  NamedTensors tensors;  ///< in file order, on the CPU, owning their memory
  std::map<std::string, std::string> metadata;
};

/// @throws Error kCheckpoint naming the file, what was found and what was expected
[[nodiscard]] SafetensorsContent read_safetensors(const std::filesystem::path& path);

/// Writes the tensors (any device, made contiguous) through a temporary file and a rename.
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace loopbank
