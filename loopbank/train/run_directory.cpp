#include "loopbank/train/run_directory.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>

#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/stopwatch.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

/// Keys that change no weight, and a hash that the run has written down.
bool may_change(const std::string& section, const std::string& key,
                const nlohmann::ordered_json& now) {
  static constexpr std::array<std::string_view, 8> kTraining = {
      "validate_every",      "validation_rows",   "checkpoint_every", "keep_checkpoints",
      "halting_alarm_steps", "alarm_validations", "rank_timeout",     "tensorboard"};
  if (section == "evaluation") {
    return true;
  }
  if (section == "data") {
    return key == "validation" || key == "benchmark";
  }
  if (key == "init_hash" && now == "") {
    return true;
  }
  return section == "training" &&
         std::find(kTraining.begin(), kTraining.end(), key) != kTraining.end();
}

/// The folder, once no process holds it or the time is over.
const fs::path& free_within(double seconds, const fs::path& out) {
  const Stopwatch watch;
  (void)FolderLock::wait_to_hold(out, ErrorCode::kCheckpoint,
                                 [&] { return watch.seconds() >= seconds; });
  return out;
}

RunConfig read_stored(const fs::path& path) {
  try {
    return load_stored_run(path);
  } catch (const Error& error) {
    throw Error(ErrorCode::kCheckpoint, error.what());
  }
}

}  // namespace

RunLock::RunLock(const fs::path& out, double patience_seconds)
    : FolderLock(free_within(patience_seconds, out), "trains", ErrorCode::kCheckpoint) {}

void expect_no_run(const fs::path& out) {
  for (const char* name : {"run.toml", "metrics.jsonl", "checkpoints", "model.safetensors"}) {
    if (fs::exists(out / name)) {
      fail(ErrorCode::kCheckpoint,
           "{}: expected a folder without a run, got one that holds {}. Continue that run with "
           "--resume or choose another --out.",
           out.string(), name);
    }
  }
}

void expect_same_run(const fs::path& stored_config, const RunConfig& config) {
  auto stored = read_stored(stored_config);
  auto wanted = config;
  wanted.validate();
  const auto stored_sections = stored.sections();
  const auto wanted_sections = wanted.sections();
  for (size_t s = 0; s < wanted_sections.size(); ++s) {
    const auto& section = wanted_sections[s].name;
    const auto before = write_json(stored_sections[s].fields);
    const auto now = write_json(wanted_sections[s].fields);
    for (const auto& [key, value] : now.items()) {
      if (value != before.at(key) && !may_change(section, key, value)) {
        fail(ErrorCode::kConfig,
             "{}: expected {}.{} = {}, with which the run was started, got {}. Resume with the "
             "same value or start a new run in another --out.",
             stored_config.string(), section, key, before.at(key).dump(), value.dump());
      }
    }
  }
}

void remove_leftovers(const fs::path& out) {
  remove_temporaries(out);
  remove_temporaries(out / "checkpoints");
}

}  // namespace loopbank
