#pragma once
/// The settings of a model, with config.json's names (SPEC 1).

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/support/settings.h"

namespace loopbank {

constexpr int64_t kMaxLoops = 64;         ///< largest N of a layer
constexpr int64_t kLargestLayers = 4096;  ///< largest L

/// How the rotary angles of a model differ from those that it was first trained with (config.json's
/// `rope_scaling`, with Hugging Face's keys). Which keys count depends on the type.
struct RopeScaling {
  std::string rope_type = "default";  ///< default (not scaled), linear, llama3 or yarn
  double factor = 1.0;
  double low_freq_factor = 1.0;                  ///< llama3
  double high_freq_factor = 4.0;                 ///< llama3
  int64_t original_max_position_embeddings = 0;  ///< llama3, yarn
  double beta_fast = 32.0;                       ///< yarn
  double beta_slow = 1.0;                        ///< yarn
  std::optional<double> attention_factor = {};   ///< yarn; absent: from factor and the two below
  std::optional<double> mscale = {};             ///< yarn
  std::optional<double> mscale_all_dim = {};     ///< yarn
  bool truncate = true;                          ///< yarn

  /// Whether the angles differ from the default ones.
  [[nodiscard]] bool is_scaled() const { return rope_type != "default"; }
  /// Key, allowed values and meaning of each setting.
  [[nodiscard]] std::vector<Field> fields();
  /// Those of them that count for this type, `rope_type` first.
  [[nodiscard]] std::vector<Field> fields_of_type();
  bool operator==(const RopeScaling&) const = default;
};

struct ModelConfig {
  int64_t vocab_size = 50304;
  int64_t hidden_size = 768;
  int64_t intermediate_size = 2048;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t num_key_value_heads = 0;  // 0: as num_attention_heads; resolved by validate()
  int64_t max_position_embeddings = 4096;
  double rope_theta = 500000.0;
  double rms_norm_eps = 1e-5;
  RopeScaling rope_scaling;
  int64_t head_dim = 0;  // 0: hidden_size / num_attention_heads; head_size() gives d
  std::string qk_norm = "after";
  bool attention_bias = false;
  bool attention_output_bias = false;
  std::string hidden_act = "silu";
  bool tie_word_embeddings = false;
  IntOrList max_loops = 0;
  std::string loop_scale_kind = "softplus";
  double loop_scale_init = -7.0;
  std::optional<double> first_loop_scale_init;
  double router_bias_init = 0.0;
  double ponder_weight = 0.0;
  std::string depth_scale = "none";
  int64_t local_memory_slots = 0;
  int64_t global_memory_slots = 0;
  double memory_gate_bias_init = 0.0;
  int64_t quantization_bits = 0;

  /// Key, allowed values and meaning of each setting.
  [[nodiscard]] std::vector<Field> fields();
  /// The same and those of the rotary scaling, as tables of a TOML file: [model] and
  /// [model.rope_scaling].
  [[nodiscard]] std::vector<Section> sections();
  /// What of them a file holds: the scaling's where there is one, with the keys of its type.
  [[nodiscard]] std::vector<Section> written_sections();

  /// Resolves what follows other settings, and checks every value and how they fit together.
  /// @throws Error kConfig naming the key, its value and what would be right
  void validate();

  /// N of layer l; 0 for a dense layer.
  [[nodiscard]] int64_t loops(int64_t layer) const;
  /// N, mean over the layers; 1 where one is dense.
  [[nodiscard]] double mean_loops() const;
  /// Largest N over the layers.
  [[nodiscard]] int64_t most_loops() const;
  /// Most loops that a layer runs with a loop budget: the budget, or for 0 the largest N; 1 where
  /// the model is dense. Every loop budget of the library is checked here.
  /// @param budget  1 to N loops, or 0 for each layer's own N
  /// @param where   names the caller in the error
  /// @throws Error kConfig for a budget below 0 or above N
  [[nodiscard]] int64_t budget_loops(int64_t budget, std::string_view where) const;
  /// d, width of a head.
  [[nodiscard]] int64_t head_size() const {
    return head_dim > 0 ? head_dim : hidden_size / num_attention_heads;
  }
  /// Whether any adaptive layer reads a memory bank.
  [[nodiscard]] bool has_memory() const;
  [[nodiscard]] bool has_global_memory() const;

  bool operator==(const ModelConfig&) const = default;
};

/// config.json as Hugging Face directories hold it ("model_type": "loopbank" and the fields). Keys
/// that imported models alone need stand in it where they are not at their default, the rotary
/// scaling as an object.
[[nodiscard]] nlohmann::ordered_json to_json(const ModelConfig& config);
void save_config(const ModelConfig& config, const std::filesystem::path& path);
/// Reads one, also as transformers writes it again: what its configs hold beside the model's own
/// settings is passed over, `rope_scaling` may be named `rope_parameters`, its `rope_type` `type`.
/// @throws Error kConfig for an unknown key, a value that its field does not take or another
///   model_type
[[nodiscard]] ModelConfig load_config(const std::filesystem::path& path);
/// The same of an object that was read already.
/// @param where  names it in errors
[[nodiscard]] ModelConfig config_from_json(nlohmann::json json, const std::string& where);

}  // namespace loopbank
