#include "loopbank/model/rope_scaling.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numbers>
#include <string_view>
#include <vector>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

constexpr std::string_view kWhere = "model.rope_scaling";
constexpr int64_t kMostPositions = int64_t{1} << 30;
constexpr double kLargestFactor = 1e6;

const std::map<std::string_view, std::vector<std::string_view>> kKeysOfType = {
    {"default", {}},
    {"linear", {"factor"}},
    {"llama3",
     {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}},
    {"yarn",
     {"factor", "original_max_position_embeddings", "beta_fast", "beta_slow", "attention_factor",
      "mscale", "mscale_all_dim", "truncate"}}};

bool counts(std::string_view type, std::string_view key) {
  const auto found = kKeysOfType.find(type);
  return key == "rope_type" ||
         (found != kKeysOfType.end() &&
          std::find(found->second.begin(), found->second.end(), key) != found->second.end());
}

/// Refuses keys that the type does not read: a model must not differ from what its config says.
void check_keys_of_type(RopeScaling scaling) {
  RopeScaling defaults;
  const auto values = write_json(scaling.fields());
  const auto by_default = write_json(defaults.fields());
  for (const auto& [key, value] : values.items()) {
    if (!counts(scaling.rope_type, key) && value != by_default.at(key)) {
      fail(ErrorCode::kConfig,
           "{}: \"{}\" expects its default, {}, where \"rope_type\" is \"{}\", which does not "
           "read it, got {}.",
           kWhere, key, by_default.at(key).dump(), scaling.rope_type, value.dump());
    }
  }
}

/// 0.1 c ln S + 1: by how much attention is to be sharper over a text S times as long.
double attention_scale(double factor, double c) {
  return factor > 1.0 ? 0.1 * c * std::log(factor) + 1.0 : 1.0;
}

double attention_factor_of(const RopeScaling& scaling) {
  if (scaling.attention_factor) {
    return *scaling.attention_factor;
  }
  const double mscale = scaling.mscale.value_or(0.0);
  const double of_all = scaling.mscale_all_dim.value_or(0.0);
  return mscale != 0.0 && of_all != 0.0
             ? attention_scale(scaling.factor, mscale) / attention_scale(scaling.factor, of_all)
             : attention_scale(scaling.factor, 1.0);
}

/// 0 up to `first`, 1 from `last` on, and linear between the two.
double ramp(double value, double first, double last) {
  constexpr double kLeast = 0.001;  // where both are one pair: a step
  return std::clamp((value - first) / (last == first ? kLeast : last - first), 0.0, 1.0);
}

/// A pair's frequency, given it and how often the pair turns in the original length.
double llama3_frequency(const RopeScaling& scaling, double frequency, double turns) {
  const double kept = ramp(turns, scaling.low_freq_factor, scaling.high_freq_factor);
  return frequency * (kept + (1.0 - kept) / scaling.factor);
}

/// The pairs between which YaRN mixes.
struct MixedPairs {
  double first = 0.0;
  double last = 0.0;
};

MixedPairs mixed_pairs(const ModelConfig& config, double length) {
  const auto& scaling = config.rope_scaling;
  const auto width = static_cast<double>(config.head_size());
  // The index i at which base^(-2i / d) turns so often in the original length.
  const auto pair_that_turns = [&](double times) {
    return width * std::log(length / (times * 2.0 * std::numbers::pi)) /
           (2.0 * std::log(config.rope_theta));
  };
  double first = pair_that_turns(scaling.beta_fast);
  double last = pair_that_turns(scaling.beta_slow);
  if (scaling.truncate) {
    first = std::floor(first);
    last = std::ceil(last);
  }
  return {std::max(first, 0.0), std::min(last, width - 1.0)};
}

}  // namespace

std::vector<Field> RopeScaling::fields() {
  return {
      Field("rope_type", &rope_type, "how rotary angles are scaled; default: not at all")
          .choices({"default", "linear", "llama3", "yarn"}),
      Field("factor", &factor, "S, by which low frequencies are divided")
          .range(1.0, kLargestFactor),
      Field("low_freq_factor", &low_freq_factor,
            "llama3: pairs that turn less often in the original length are divided by S")
          .positive(),
      Field("high_freq_factor", &high_freq_factor,
            "llama3: pairs that turn more often in the original length stay as they are")
          .positive(),
      Field("original_max_position_embeddings", &original_max_position_embeddings,
            "llama3, yarn: the original length, in tokens; 0 with yarn: `max_position_embeddings`")
          .range(0, kMostPositions),
      Field("beta_fast", &beta_fast,
            "yarn: pairs that turn more often in the original length stay as they are")
          .positive(),
      Field("beta_slow", &beta_slow,
            "yarn: pairs that turn less often in the original length are divided by S")
          .positive(),
      Field("attention_factor", &attention_factor,
            "yarn: length of cosines and sines; absent: from S and the next two")
          .positive(),
      Field("mscale", &mscale, "yarn: weight of ln S in that length"),
      Field("mscale_all_dim", &mscale_all_dim, "yarn: the same, by which it is divided"),
      Field("truncate", &truncate, "yarn: whether the borders between pairs are whole"),
  };
}

std::vector<Field> RopeScaling::fields_of_type() {
  auto all = fields();
  std::erase_if(all, [&](const Field& field) { return !counts(rope_type, field.name); });
  return all;
}

void check_rope_scaling(const RopeScaling& scaling) {
  auto copy = scaling;
  check_fields(copy.fields(), kWhere);
  check_keys_of_type(scaling);
  if (scaling.rope_type == "llama3" && scaling.original_max_position_embeddings == 0) {
    fail(ErrorCode::kConfig,
         "{}: \"original_max_position_embeddings\" expects a whole number above 0 where "
         "\"rope_type\" is \"llama3\", got 0. It is the length that the angles were made for, 8192 "
         "in Llama 3.",
         kWhere);
  }
  if (scaling.high_freq_factor <= scaling.low_freq_factor) {
    fail(ErrorCode::kConfig,
         "{}: \"high_freq_factor\" expects more than \"low_freq_factor\" {}, got {}.", kWhere,
         scaling.low_freq_factor, scaling.high_freq_factor);
  }
  if (scaling.beta_fast < scaling.beta_slow) {
    fail(ErrorCode::kConfig, "{}: \"beta_fast\" expects at least \"beta_slow\" {}, got {}.", kWhere,
         scaling.beta_slow, scaling.beta_fast);
  }
}

ops::RotaryFrequencies rotary_frequencies(const ModelConfig& config, at::Device device) {
  const auto& scaling = config.rope_scaling;
  auto result = ops::rotary_frequencies(config.head_size(), config.rope_theta, at::kCPU);
  if (scaling.is_scaled()) {
    const auto length = static_cast<double>(scaling.original_max_position_embeddings > 0
                                                ? scaling.original_max_position_embeddings
                                                : config.max_position_embeddings);
    const bool is_yarn = scaling.rope_type == "yarn";
    const auto mixed = is_yarn ? mixed_pairs(config, length) : MixedPairs{};
    auto* const f = result.radians.data_ptr<double>();
    for (int64_t i = 0; i < result.radians.size(0); ++i) {
      if (is_yarn) {
        const double divided = ramp(static_cast<double>(i), mixed.first, mixed.last);
        f[i] *= divided / scaling.factor + (1.0 - divided);
      } else if (scaling.rope_type == "llama3") {
        f[i] = llama3_frequency(scaling, f[i], length * f[i] / (2.0 * std::numbers::pi));
      } else {
        f[i] /= scaling.factor;
      }
    }
    result.amplitude = is_yarn ? attention_factor_of(scaling) : 1.0;
  }
  result.radians = result.radians.to(device);
  return result;
}

}  // namespace loopbank
