#include "loopbank/train/train_state.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "loopbank/support/json.h"

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

/// Null stands for a value that was not finite, such as the loss of a skipped step.
double measure(const JsonValues& values, const char* key) {
  const auto& value = values.at(key);
  if (!value.is_number() && !value.is_null()) {
    values.refuse(key, "a number or null");
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
  if (!state.added_parameters.empty()) {
    json["added_parameters"] = state.added_parameters;
  }
  return json;
}

TrainState train_state_from_json(const nlohmann::json& json) {
  const JsonValues values(json, "training state", {.code = ErrorCode::kCheckpoint});
  values.expect_count("version", kStateVersion);
  TrainState state;
  for (const auto& [key, pointer] : kCounts) {
    state.*pointer = values.count(key);
  }
  for (const auto& [key, pointer] : kMeasures) {
    state.*pointer = measure(values, key);
  }
  state.sampler = sampler_state_from_json(values.at("sampler"));
  if (values.has("added_parameters")) {
    for (const auto& name : values.list("added_parameters")) {
      if (!name.is_string()) {
        values.refuse("added_parameters", "a list of names");
      }
      state.added_parameters.push_back(name.get<std::string>());
    }
  }
  return state;
}

}  // namespace loopbank
