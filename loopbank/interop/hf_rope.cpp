#include "loopbank/interop/hf_rope.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "loopbank/support/error.h"
#include "loopbank/support/json.h"

namespace loopbank {
namespace {

using Json = nlohmann::json;

const JsonForm kConfigForm{.code = ErrorCode::kConfig, .expected = "a JSON object"};

/// Null where there is no such key, or no value.
const Json* given_value(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

double number_or(const JsonValues& values, const Json& object, const char* key, double otherwise) {
  return given_value(object, key) != nullptr ? values.number(key) : otherwise;
}

/// The parameters of the angles as transformers 5 or 4 writes them: an object, or empty.
Json rope_object(const Json& config, const std::string& where) {
  const auto filled = [&](const char* key) {
    const auto* value = given_value(config, key);
    return value == nullptr || value->empty() ? nullptr : value;
  };
  const auto* parameters = filled("rope_parameters");
  const auto* scaling = filled("rope_scaling");
  if (parameters != nullptr && scaling != nullptr && *parameters != *scaling) {
    fail(ErrorCode::kConfig,
         "{}: expected \"rope_parameters\" or \"rope_scaling\", got both with different values, of "
         "which releases of transformers take one or the other. Remove one of them.",
         where);
  }
  const auto* one = parameters != nullptr ? parameters : scaling;
  if (one == nullptr) {
    return Json::object();
  }
  const auto* key = parameters != nullptr ? "rope_parameters" : "rope_scaling";
  const JsonValues values(config, where, kConfigForm);
  for (const auto& [name, value] : values.object(key).items()) {
    if (value.is_object()) {
      fail(ErrorCode::kConfig,
           "{}: \"{}\" expects one set of values for all layers, got \"{}\" with its own: rotary "
           "angles by kind of layer are not supported.",
           where, key, name);
    }
  }
  return *one;
}

double theta_of(const Json& config, const Json& rope, const std::string& where) {
  constexpr double kUsualTheta = 10000.0;
  const JsonValues outside(config, where, kConfigForm);
  const JsonValues inside(rope, where, kConfigForm);
  const double above = number_or(outside, config, "rope_theta", kUsualTheta);
  const double theta = number_or(inside, rope, "rope_theta", above);
  if (given_value(config, "rope_theta") != nullptr && theta != above) {
    fail(ErrorCode::kConfig,
         "{}: \"rope_theta\" expects one value, got {} and, within the parameters of the rotary "
         "angles, {}. Remove one of them.",
         where, above, theta);
  }
  return theta;
}

std::string type_of(const Json& rope, const std::string& where) {
  const JsonValues values(rope, where, kConfigForm);
  const bool has_old = given_value(rope, "type") != nullptr;
  const bool has_new = given_value(rope, "rope_type") != nullptr;
  if (!has_old && !has_new) {
    return "default";
  }
  const auto& type = values.text(has_new ? "rope_type" : "type");
  if (has_old && values.text("type") != type) {
    fail(ErrorCode::kConfig,
         "{}: \"rope_type\" expects what \"type\" says, \"{}\", got \"{}\". Remove one of them.",
         where, values.text("type"), type);
  }
  return type;
}

/// The trained length, which transformers 5 also takes from the top level of the config.
int64_t original_positions(const Json& config, const Json& rope, int64_t max_positions,
                           const std::string& where) {
  constexpr const char* kKey = "original_max_position_embeddings";
  const JsonValues outside(config, where, kConfigForm);
  const JsonValues inside(rope, where, kConfigForm);
  const bool has_outer = given_value(config, kKey) != nullptr;
  const auto outer = has_outer ? outside.count(kKey) : max_positions;
  const auto length = given_value(rope, kKey) != nullptr ? inside.count(kKey) : outer;
  if (has_outer && outer != length) {
    fail(ErrorCode::kConfig, "{}: \"{}\" expects one value, got {} and {}. Remove one of them.",
         where, kKey, outer, length);
  }
  return length;
}

RopeScaling yarn_scaling(const Json& rope, const JsonValues& values) {
  RopeScaling scaling;
  // 0 is taken for absent there.
  const auto unless_zero = [&](const char* key, double otherwise) {
    const double value = number_or(values, rope, key, 0.0);
    return value == 0.0 ? otherwise : value;
  };
  scaling.beta_fast = unless_zero("beta_fast", scaling.beta_fast);
  scaling.beta_slow = unless_zero("beta_slow", scaling.beta_slow);
  if (given_value(rope, "attention_factor") != nullptr) {
    scaling.attention_factor = values.number("attention_factor");
  }
  const double mscale = unless_zero("mscale", 0.0);
  const double mscale_all_dim = unless_zero("mscale_all_dim", 0.0);
  if (mscale != 0.0 && mscale_all_dim != 0.0) {  // one alone is not read
    scaling.mscale = mscale;
    scaling.mscale_all_dim = mscale_all_dim;
  }
  if (given_value(rope, "truncate") != nullptr) {
    scaling.truncate = values.flag("truncate");
  }
  return scaling;
}

[[noreturn]] void refuse_rope_type(const std::string& type, const std::string& where) {
  fail(
      ErrorCode::kConfig,
      "{}: \"rope_type\" expects \"default\", \"linear\", \"llama3\", \"yarn\" or \"dynamic\", got "
      "\"{}\", which is not supported.",
      where, type);
}

}  // namespace

HfRope read_hf_rope(const Json& config, const HfFamily& family, int64_t head_dim,
                    int64_t max_positions, const std::string& where) {
  const auto rope = rope_object(config, where);
  const JsonValues values(rope, where + ": rotary angles", kConfigForm);
  HfRope read{.theta = theta_of(config, rope, where), .scaling = {}, .notes = {}};
  if (const double part = number_or(values, rope, "partial_rotary_factor", 1.0); part != 1.0) {
    fail(ErrorCode::kConfig,
         "{}: \"partial_rotary_factor\" expects 1, got {}: rotary embeddings of a part of a head "
         "are not supported.",
         where, part);
  }
  const auto type = type_of(rope, where);
  if (type == "llama3") {
    read.scaling.low_freq_factor = values.number("low_freq_factor");
    read.scaling.high_freq_factor = values.number("high_freq_factor");
  } else if (type == "yarn") {
    read.scaling = yarn_scaling(rope, values);
  } else if (type == "dynamic") {
    const double alpha = family.dynamic_alpha ? number_or(values, rope, "alpha", 0.0) : 0.0;
    if (alpha != 0.0) {
      const auto width = static_cast<double>(head_dim);
      read.theta *= std::pow(alpha, width / (width - 2.0));
      read.notes.push_back(fmt::format("rope_scaling's alpha {} is within rope_theta now", alpha));
    } else {
      read.notes.push_back(
          fmt::format("rope type \"dynamic\" changes nothing up to max_position_embeddings, {} "
                      "tokens, which is the longest text here",
                      max_positions));
    }
  } else if (type != "default" && type != "linear") {
    refuse_rope_type(type, where);
  }
  if (type == "linear" || type == "llama3" || type == "yarn") {
    read.scaling.rope_type = type;
    read.scaling.factor = values.number("factor");
  }
  if (type == "llama3" || type == "yarn") {
    read.scaling.original_max_position_embeddings =
        original_positions(config, rope, max_positions, where);
  }
  return read;
}

}  // namespace loopbank
