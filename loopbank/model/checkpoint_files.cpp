#include "loopbank/model/checkpoint_files.h"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "loopbank/support/error.h"
#include "loopbank/support/json.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSingleFile = "model.safetensors";
constexpr std::string_view kIndexFile = "model.safetensors.index.json";

/// A file of weights in a format that is not read, or an empty path.
fs::path foreign_weights(const fs::path& directory) {
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(directory, none)) {
    const auto extension = entry.path().extension();
    if (extension == ".bin" || extension == ".pth" || extension == ".pt" || extension == ".gguf" ||
        extension == ".h5" || extension == ".msgpack") {
      return entry.path().filename();
    }
  }
  return {};
}

[[noreturn]] void refuse_folder(const fs::path& directory) {
  if (fs::exists(directory / "adapter_model.safetensors")) {
    fail(ErrorCode::kCheckpoint,
         "{}: expected {} or {}, got an adapter alone. Merge it into its model first (peft: "
         "merge_and_unload and save_pretrained).",
         directory.string(), kSingleFile, kIndexFile);
  }
  if (const auto foreign = foreign_weights(directory); !foreign.empty()) {
    fail(ErrorCode::kCheckpoint,
         "{}: expected {} or {}, got {}, which is not read. Open it with transformers and save it "
         "as safetensors: model.save_pretrained(DIR).",
         directory.string(), kSingleFile, kIndexFile, foreign.string());
  }
  fail(ErrorCode::kCheckpoint, "{}: expected {} or {}, got neither.", directory.string(),
       kSingleFile, kIndexFile);
}

/// The tensors that an index names, by shard.
std::map<std::string, std::set<std::string>> read_index(const fs::path& path) {
  const JsonForm form{.code = ErrorCode::kCheckpoint,
                      .expected = "an index of shards",
                      .remedy = "Write the index anew or fetch it again."};
  const auto json = read_json_file(path, form);
  const JsonValues values(json, path.string(), form);
  std::map<std::string, std::set<std::string>> shards;
  for (const auto& [name, file] : values.object("weight_map").items()) {
    // A name alone: an index must not reach for files elsewhere.
    if (!file.is_string() || file.get<std::string>().empty() ||
        fs::path(file.get<std::string>()).filename() != file.get<std::string>()) {
      fail(ErrorCode::kCheckpoint,
           "{}: tensor \"{}\": expected the name of a file in the same folder, got {}.",
           path.string(), name, show_json(file));
    }
    shards[file.get<std::string>()].insert(name);
  }
  if (shards.empty()) {
    fail(ErrorCode::kCheckpoint, "{}: expected tensors in \"weight_map\", got none.",
         path.string());
  }
  return shards;
}

/// Appends the tensors of one shard, which must be those that the index names for it.
void append_shard(const fs::path& path, std::set<std::string> expected, NamedTensors& tensors) {
  if (!fs::exists(path)) {
    fail(ErrorCode::kCheckpoint, "{}: expected this shard, which {} names, got no such file.",
         path.string(), kIndexFile);
  }
  auto content = map_safetensors(path);
  for (auto& tensor : content.tensors) {
    if (expected.erase(tensor.first) == 0) {
      fail(ErrorCode::kCheckpoint,
           "{}: expected the tensors that {} names for this shard, got \"{}\" as well.",
           path.string(), kIndexFile, tensor.first);
    }
    tensors.push_back(std::move(tensor));
  }
  if (!expected.empty()) {
    fail(ErrorCode::kCheckpoint,
         "{}: expected \"{}\", which {} names for this shard, got no such tensor ({} are missing).",
         path.string(), *expected.begin(), kIndexFile, expected.size());
  }
}

}  // namespace

CheckpointFiles map_checkpoint(const fs::path& directory) {
  const auto single = directory / kSingleFile;
  if (fs::exists(single)) {
    return {.files = {single}, .tensors = map_safetensors(single).tensors};
  }
  const auto index = directory / kIndexFile;
  if (!fs::exists(index)) {
    refuse_folder(directory);
  }
  CheckpointFiles checkpoint;
  for (const auto& [file, names] : read_index(index)) {
    checkpoint.files.push_back(directory / file);
    append_shard(checkpoint.files.back(), names, checkpoint.tensors);
  }
  return checkpoint;
}

void take_stored(at::Tensor parameter, const at::Tensor& stored) {
  if (stored.scalar_type() == at::kFloat && parameter.is_cpu()) {
    parameter.set_data(stored);
  } else {
    parameter.copy_(stored);
  }
}

}  // namespace loopbank
