#include "loopbank/model/config.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/json_nesting.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

constexpr std::string_view kModelType = "loopbank";
// Token ids are 32-bit; the other sizes stay small enough that no product of three overflows.
constexpr int64_t kLargestVocabulary = std::numeric_limits<int32_t>::max();
constexpr int64_t kLargestSize = int64_t{1} << 20;
constexpr int64_t kLargestSlots = int64_t{1} << 24;
constexpr int64_t kLargestPosition = int64_t{1} << 24;

void expect_in_range(std::string_view key, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high) {
    fail(ErrorCode::kConfig, "model: \"{}\" expects {} to {}, got {}. Nearest: {}.", key, low, high,
         value, std::clamp(value, low, high));
  }
}

void expect_finite(std::string_view key, double value) {
  if (!std::isfinite(value)) {
    fail(ErrorCode::kConfig, "model: \"{}\" expects a finite number, got {}.", key, value);
  }
}

/// The count in [1, high] nearest to `value` that `fits`; 1 always does.
template <typename Fits>
int64_t nearest_count(int64_t value, int64_t high, const Fits& fits) {
  for (int64_t distance = 0; distance <= high + value; ++distance) {
    for (const auto candidate : {value - distance, value + distance}) {
      if (candidate >= 1 && candidate <= high && fits(candidate)) {
        return candidate;
      }
    }
  }
  return 1;
}

void check_heads(const ModelConfig& config) {
  const auto width = config.hidden_size;
  const auto heads = config.num_attention_heads;
  const auto fits = [&](int64_t count) { return width % count == 0 && (width / count) % 2 == 0; };
  if (!fits(heads)) {
    fail(
        ErrorCode::kConfig,
        "model: \"num_attention_heads\" expects a count that splits \"hidden_size\" {} in heads of "
        "even width (rotary pairs), got {}. Nearest: {}.",
        width, heads, nearest_count(heads, width, fits));
  }
  const auto groups = config.num_key_value_heads;
  if (heads % groups != 0) {
    fail(ErrorCode::kConfig,
         "model: \"num_key_value_heads\" expects a divisor of \"num_attention_heads\" {}, got {}. "
         "Nearest: {}.",
         heads, groups, nearest_count(groups, heads, [&](int64_t n) { return heads % n == 0; }));
  }
}

void check_loops(const ModelConfig& config) {
  const auto& loops = config.max_loops;
  const auto given = static_cast<int64_t>(loops.values.size());
  const int64_t wanted = loops.is_list ? config.num_hidden_layers : 1;
  if (given != wanted) {
    fail(ErrorCode::kConfig,
         "model: \"max_loops\" expects one number or a list of {} (one per layer, "
         "\"num_hidden_layers\"), got a list of {}.",
         config.num_hidden_layers, given);
  }
  for (const auto count : loops.values) {
    expect_in_range("max_loops", count, 0, kMaxLoops);
  }
}

/// Settings that would have no effect are refused: a run must not differ from what its config says.
void check_effects(const ModelConfig& config) {
  static const std::vector<std::string> kDepthScales = {"none", "inverse", "inverse_sqrt"};
  if (std::find(kDepthScales.begin(), kDepthScales.end(), config.depth_scale) ==
      kDepthScales.end()) {
    fail(ErrorCode::kConfig,
         "model: \"depth_scale\" expects none, inverse or inverse_sqrt, got \"{}\".{}",
         config.depth_scale, suggestion(config.depth_scale, kDepthScales));
  }
  const auto& loops = config.max_loops.values;
  const bool any_adaptive = std::any_of(loops.begin(), loops.end(), [](auto n) { return n > 0; });
  const bool all_adaptive = std::all_of(loops.begin(), loops.end(), [](auto n) { return n > 0; });
  if (config.depth_scale != "none" && all_adaptive) {
    fail(ErrorCode::kConfig,
         "model: \"depth_scale\" expects \"none\" where every layer is adaptive (\"max_loops\" "
         "above "
         "0: the loop scales are learned), got \"{}\".",
         config.depth_scale);
  }
  if (!any_adaptive && config.local_memory_slots + config.global_memory_slots > 0) {
    fail(ErrorCode::kConfig,
         "model: \"local_memory_slots\" and \"global_memory_slots\" expect 0 in a dense model "
         "(memory is read inside loops), got {} and {}. Set \"max_loops\" to 1 or more.",
         config.local_memory_slots, config.global_memory_slots);
  }
}

void check_numbers(const ModelConfig& config) {
  expect_finite("loop_scale_init", config.loop_scale_init);
  expect_finite("first_loop_scale_init", config.first_loop_scale_init.value_or(0.0));
  expect_finite("router_bias_init", config.router_bias_init);
  expect_finite("memory_gate_bias_init", config.memory_gate_bias_init);
  if (!(config.rope_theta > 1.0) || !std::isfinite(config.rope_theta)) {
    fail(ErrorCode::kConfig, "model: \"rope_theta\" expects a number above 1, got {}.",
         config.rope_theta);
  }
  if (!(config.rms_norm_eps > 0.0 && config.rms_norm_eps < 1.0)) {
    fail(ErrorCode::kConfig, "model: \"rms_norm_eps\" expects a number between 0 and 1, got {}.",
         config.rms_norm_eps);
  }
  if (!(config.ponder_weight >= 0.0) || !std::isfinite(config.ponder_weight)) {
    fail(ErrorCode::kConfig, "model: \"ponder_weight\" expects 0 or more, got {}.",
         config.ponder_weight);
  }
}

}  // namespace

std::vector<Field> ModelConfig::fields() {
  return {
      {"vocab_size", &vocab_size, "V, tokens of the vocabulary (padded)"},
      {"hidden_size", &hidden_size, "D, width of the hidden state"},
      {"intermediate_size", &intermediate_size, "F, width inside the feed-forward"},
      {"num_hidden_layers", &num_hidden_layers, "L, layers"},
      {"num_attention_heads", &num_attention_heads, "H, attention heads"},
      {"num_key_value_heads", &num_key_value_heads, "H_kv, divides H; 0: as many as heads"},
      {"max_position_embeddings", &max_position_embeddings, "longest sequence, tokens"},
      {"rope_theta", &rope_theta, "base of the rotary angles"},
      {"rms_norm_eps", &rms_norm_eps, "added to the mean square in every norm"},
      {"tie_word_embeddings", &tie_word_embeddings, "the head shares the embedding's weight"},
      {"max_loops", &max_loops,
       "N, loops of an adaptive layer, one number or one per layer; 0: dense"},
      {"loop_scale_init", &loop_scale_init, "alpha at start; softplus(alpha) scales the residuals"},
      {"first_loop_scale_init", &first_loop_scale_init,
       "alpha of the first loop; absent: as the others; 0.5413 makes its scale 1"},
      {"router_bias_init", &router_bias_init,
       "b of the router at start: below 0 more loops (N = 7 starts at 1.98 with 0, 6.08 with -3)"},
      {"ponder_weight", &ponder_weight, "lambda, weight of the ponder term in the loss"},
      {"depth_scale", &depth_scale, "dense layers' residual scale: none, inverse or inverse_sqrt"},
      {"local_memory_slots", &local_memory_slots, "M_L, slots of each layer's own bank; 0: none"},
      {"global_memory_slots", &global_memory_slots, "M_G, slots of the shared bank; 0: none"},
      {"memory_gate_bias_init", &memory_gate_bias_init, "g0, bias of the memory gates at start"},
  };
}

void ModelConfig::validate() {
  expect_in_range("vocab_size", vocab_size, 1, kLargestVocabulary);
  expect_in_range("hidden_size", hidden_size, 2, kLargestSize);
  expect_in_range("intermediate_size", intermediate_size, 1, kLargestSize);
  expect_in_range("num_hidden_layers", num_hidden_layers, 1, kLargestLayers);
  expect_in_range("num_attention_heads", num_attention_heads, 1, hidden_size);
  expect_in_range("num_key_value_heads", num_key_value_heads, 0, num_attention_heads);
  if (num_key_value_heads == 0) {
    num_key_value_heads = num_attention_heads;
  }
  expect_in_range("max_position_embeddings", max_position_embeddings, 1, kLargestPosition);
  expect_in_range("local_memory_slots", local_memory_slots, 0, kLargestSlots);
  expect_in_range("global_memory_slots", global_memory_slots, 0, kLargestSlots);
  check_heads(*this);
  check_loops(*this);
  check_numbers(*this);
  check_effects(*this);
}

int64_t ModelConfig::loops(int64_t layer) const {
  return max_loops.is_list ? max_loops.values.at(static_cast<size_t>(layer))
                           : max_loops.values.front();
}

int64_t ModelConfig::most_loops() const {
  return *std::max_element(max_loops.values.begin(), max_loops.values.end());
}

bool ModelConfig::has_memory() const {
  return most_loops() > 0 && (local_memory_slots > 0 || global_memory_slots > 0);
}

bool ModelConfig::has_global_memory() const {
  return most_loops() > 0 && global_memory_slots > 0;
}

nlohmann::ordered_json to_json(const ModelConfig& config) {
  auto copy = config;
  copy.validate();
  nlohmann::ordered_json json = {{"model_type", kModelType}};
  json.update(write_json(copy.fields()));
  return json;
}

void save_config(const ModelConfig& config, const std::filesystem::path& path) {
  write_file_atomically(path, to_json(config).dump(2) + "\n", ErrorCode::kCheckpoint);
}

ModelConfig load_config(const std::filesystem::path& path) {
  const auto text = read_file(path, ErrorCode::kConfig);
  expect_shallow_json(text, path.string(), ErrorCode::kConfig);
  nlohmann::json json;
  try {
    json = nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::kConfig, "{}: expected a JSON object with a model's settings, got {}.",
         path.string(), error.what());
  }
  const auto type = json.is_object() ? json.value("model_type", nlohmann::json()) : json;
  if (type != kModelType) {
    fail(ErrorCode::kConfig,
         "{}: \"model_type\" expects \"{}\", got {}. Other models are not read.", path.string(),
         kModelType, type.dump());
  }
  ModelConfig config;
  // What Hugging Face tools add to every config and what says nothing about the model's shape.
  read_json(json, config.fields(), path.string(),
            {"model_type", "architectures", "torch_dtype", "dtype", "transformers_version"});
  try {
    config.validate();
  } catch (const Error& error) {
    throw Error(error.code(), path.string() + ": " + error.what());
  }
  return config;
}

}  // namespace loopbank
