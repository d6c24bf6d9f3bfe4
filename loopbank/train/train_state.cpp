#include "loopbank/train/train_state.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

constexpr int64_t kStateVersion = 1;

struct Count {
  const char* key;
  int64_t TrainState::*member;
};
struct Measure {
  const char* key;
  double TrainState::*member;
};

constexpr Count kCounts[] = {{"step", &TrainState::step},
                             {"tokens", &TrainState::tokens},
                             {"optimizer_steps", &TrainState::optimizer_steps},
                             {"skipped_steps", &TrainState::skipped_steps},
                             {"consecutive_skips", &TrainState::consecutive_skips},
                             {"train_file_tokens", &TrainState::train_file_tokens},
                             {"validation_step", &TrainState::validation_step}};
constexpr Measure kMeasures[] = {{"loss", &TrainState::loss},
                                 {"mean_loops", &TrainState::mean_loops},
                                 {"validation_loss", &TrainState::validation_loss},
                                 {"validation_bpb", &TrainState::validation_bpb},
                                 {"train_seconds", &TrainState::train_seconds}};

const nlohmann::json& member(const nlohmann::json& json, const char* key) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  if (!json.is_object() || found == json.end()) {
    fail(ErrorCode::kCheckpoint, "training state: expected \"{}\", got none.", key);
  }
  return *found;
}

int64_t count(const nlohmann::json& json, const char* key) {
  const auto& value = member(json, key);
  if (!value.is_number_integer() || value.get<int64_t>() < 0) {
    fail(ErrorCode::kCheckpoint, "training state: \"{}\" expects a whole number from 0, got {}.",
         key, value.dump());
  }
  return value.get<int64_t>();
}

/// Null stands for a value that was not finite, such as the loss of a skipped step.
double measure(const nlohmann::json& json, const char* key) {
  const auto& value = member(json, key);
  if (!value.is_number() && !value.is_null()) {
    fail(ErrorCode::kCheckpoint, "training state: \"{}\" expects a number or null, got {}.", key,
         value.dump());
  }
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

}  // namespace

nlohmann::ordered_json to_json(const TrainState& state) {
  nlohmann::ordered_json json = {{"version", kStateVersion}};
  for (const auto& [key, pointer] : kCounts) {
    json[key] = state.*pointer;
  }
  for (const auto& [key, pointer] : kMeasures) {
    const double value = state.*pointer;
    json[key] = std::isfinite(value) ? nlohmann::ordered_json(value) : nullptr;
  }
  json["sampler"] = to_json(state.sampler);
  return json;
}

TrainState train_state_from_json(const nlohmann::json& json) {
  if (const auto version = count(json, "version"); version != kStateVersion) {
    fail(ErrorCode::kCheckpoint, "training state: expected version {}, got {}.", kStateVersion,
         version);
  }
  TrainState state;
  for (const auto& [key, pointer] : kCounts) {
    state.*pointer = count(json, key);
  }
  for (const auto& [key, pointer] : kMeasures) {
    state.*pointer = measure(json, key);
  }
  state.sampler = sampler_state_from_json(member(json, "sampler"));
  return state;
}

}  // namespace loopbank
