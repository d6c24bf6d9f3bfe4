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
  NamedTensors tensors;  ///< in file order, on the CPU
  std::map<std::string, std::string> metadata;
};

/// @throws Error kCheckpoint naming the file, what was found and what was expected
[[nodiscard]] SafetensorsContent read_safetensors(const std::filesystem::path& path);

/// The same without a copy of the bytes: tensors whose data is aligned for their dtype are views of the
/// mapped file, read from disk or the page cache when they are first used, and keep it mapped. They
/// can be written to, which the file does not see. The file must not be cut or overwritten in place
/// meanwhile; one renamed over it, as all writers here do it, is another file.
[[nodiscard]] SafetensorsContent map_safetensors(const std::filesystem::path& path);

/// Writes the tensors (any device, made contiguous) through a temporary file and a rename.
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace loopbank
