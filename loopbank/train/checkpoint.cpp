#include "loopbank/train/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "loopbank/model/safetensors.h"
#include "loopbank/model/weights.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/hash.h"
#include "loopbank/support/json.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-";
constexpr const char* kChecksums = "checksums.json";
constexpr const char* kModel = "model.safetensors";
constexpr const char* kOptimizer = "optimizer.safetensors";
constexpr const char* kState = "state.json";
constexpr const char* kRun = "run.toml";
const JsonForm kJson = {.code = ErrorCode::kCheckpoint};

std::optional<int64_t> step_of(const fs::path& path) {
  const auto name = path.filename().string();
  if (!name.starts_with(kPrefix)) {
    return std::nullopt;
  }
  int64_t step = 0;
  const auto* begin = name.data() + kPrefix.size();
  const auto* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(begin, end, step);
  return error == std::errc() && stop == end ? std::optional(step) : std::nullopt;
}

std::string checksum(const fs::path& path) {
  const MappedFile file(path, ErrorCode::kCheckpoint);
  return format_hash(hash_of(file.bytes()));
}

void write_checksums(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  auto json = nlohmann::ordered_json::object();
  for (const auto& file : files) {
    json[file.filename().string()] = checksum(file);
  }
  write_file_atomically(folder / kChecksums, json.dump(2) + "\n", ErrorCode::kCheckpoint);
}

/// rename(2) and then removal: a kill in between leaves a name that nobody takes for a checkpoint.
void remove_folder(const fs::path& path) {
  const auto doomed = path.parent_path() / fmt::format(".{}.tmp-old", path.filename().string());
  std::error_code ignored;
  fs::remove_all(doomed, ignored);
  fs::rename(path, doomed, ignored);
  fs::remove_all(doomed, ignored);
}

}  // namespace

fs::path checkpoint_path(const fs::path& out, int64_t step) {
  return out / "checkpoints" / fmt::format("{}{:06}", kPrefix, step);
}

std::vector<Checkpoint> list_checkpoints(const fs::path& out) {
  std::vector<Checkpoint> found;
  std::error_code absent;
  for (const auto& entry : fs::directory_iterator(out / "checkpoints", absent)) {
    if (const auto step = step_of(entry.path()); step && entry.is_directory()) {
      found.push_back({*step, entry.path()});
    }
  }
  std::sort(found.begin(), found.end(),
            [](const Checkpoint& a, const Checkpoint& b) { return a.step > b.step; });
  return found;
}

fs::path save_checkpoint(const fs::path& out, const RunParts& parts) {
  auto destination = checkpoint_path(out, parts.state.step);
  create_directories(destination.parent_path(), ErrorCode::kCheckpoint);
  AtomicDirectory folder(destination, ErrorCode::kCheckpoint);
  save_model(parts.model, folder.path());
  parts.tokenizer.save(folder.path() / "tokenizer.json");
  write_safetensors(folder.path() / kOptimizer, parts.moments);
  write_file_atomically(folder.path() / kState, to_json(parts.state).dump(2) + "\n",
                        ErrorCode::kCheckpoint);
  write_file_atomically(folder.path() / kRun, to_toml(parts.config), ErrorCode::kCheckpoint);
  write_checksums(folder.path());
  folder.commit();
  return destination;
}

void verify_checkpoint(const fs::path& path) {
  const auto json = read_json_file(path / kChecksums, kJson);
  for (const char* name : {kModel, kOptimizer, kState, kRun}) {
    if (!json.is_object() || !json.contains(name)) {
      fail(ErrorCode::kCheckpoint, "{}: expected a checksum of {}, got none.",
           (path / kChecksums).string(), name);
    }
  }
  for (const auto& [name, expected] : json.items()) {
    const auto found = checksum(path / name);
    if (expected != found) {
      fail(ErrorCode::kCheckpoint, "{}: expected checksum {}, got \"{}\". The file is damaged.",
           (path / name).string(), expected.dump(), found);
    }
  }
}

SavedRun load_checkpoint(const fs::path& path, LanguageModel& model) {
  SavedRun saved{.state = train_state_from_json(read_json_file(path / kState, kJson)),
                 .moments = read_safetensors(path / kOptimizer).tensors};
  load_weights(model, path / kModel);
  return saved;
}

TrainState load_checkpoint(const fs::path& path, LanguageModel& model, AdamW& optimizer) {
  const auto saved = load_checkpoint(path, model);
  optimizer.restore(saved.moments, saved.state.optimizer_steps);
  return saved.state;
}

void set_aside(const Checkpoint& checkpoint) {
  const fs::path aside = checkpoint.path.string() + ".damaged";
  std::error_code status;
  fs::remove_all(aside, status);
  fs::rename(checkpoint.path, aside, status);
  if (status) {
    fail(ErrorCode::kCheckpoint, "{}: cannot set the damaged checkpoint aside: {}.",
         checkpoint.path.string(), status.message());
  }
}

void prune_checkpoints(const fs::path& out, int64_t keep) {
  const auto found = list_checkpoints(out);
  for (auto i = static_cast<size_t>(keep); i < found.size(); ++i) {
    remove_folder(found[i].path);
  }
}

}  // namespace loopbank
