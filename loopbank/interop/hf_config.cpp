#include "loopbank/interop/hf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "loopbank/interop/hf_rope.h"
#include "loopbank/support/error.h"
#include "loopbank/support/json.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const JsonForm kFileForm{.code = ErrorCode::kConfig,
                         .expected = "a JSON object with a model's settings"};

/// A key whose other values mean something that is not supported.
struct OneValue {
  const char* key;
  Json neutral;  ///< besides null, and no key at all
  std::string_view what;
};

const std::vector<OneValue>& keys_of_one_value() {
  static const std::vector<OneValue> keys = {
      {"hidden_act", "silu", "Other functions than silu are"},
      {"mlp_bias", false, "Biases of the feed-forward block are"},
      {"partial_rotary_factor", 1.0, "Rotary embeddings of a part of a head are"},
      {"rope_interleaved", false, "Rotary embeddings of neighbouring pairs are"},
      {"quantization_config", nullptr, "Quantized weights are"},
      {"compression_config", nullptr, "Compressed weights are"},
      {"auto_map", nullptr, "Modelling code of a model's own is"},
      {"text_config", nullptr, "A text model within another is"},
      {"vision_config", nullptr, "Images beside text are"},
      {"is_encoder_decoder", false, "An encoder beside the decoder is"},
      {"add_cross_attention", false, "Cross-attention is"},
      {"num_experts", 1, "A mixture of experts is"},
      {"num_local_experts", 1, "A mixture of experts is"},
      {"n_routed_experts", 1, "A mixture of experts is"},
      {"attention_chunk_size", nullptr, "Attention in chunks is"},
      {"no_rope_layers", nullptr, "Layers without rotary embeddings are"},
      {"attn_logit_softcapping", nullptr, "Soft-capped scores are"},
      {"final_logit_softcapping", nullptr, "Soft-capped logits are"},
      {"embedding_multiplier", 1.0, "Multipliers of embeddings are"},
      {"residual_multiplier", 1.0, "Multipliers of branches are"},
      {"attention_multiplier", nullptr, "Another scale of scores than 1 / sqrt(head_dim) is"},
      {"logits_scaling", 1.0, "Multipliers of logits are"},
      {"parallel_residual", false, "Parallel residual branches are"},
      {"use_parallel_residual", false, "Parallel residual branches are"},
      {"alibi", false, "Positions by ALiBi are"},
      {"use_cla", false, "Keys and values shared between layers are"},
      {"use_mla", false, "Latent attention is"},
      {"position_embedding_xdrope", false, "Rotary angles of several axes are"},
      {"use_rotary_pos_emb", true, "Attention without rotary embeddings is"},
      {"norm_type", "rms", "Other norms than RMSNorm are"},
  };
  return keys;
}

/// Keys that no equation of the supported families reads, and those that are read here.
constexpr auto kKnownKeys = std::to_array<std::string_view>({
    "_attn_implementation_autoset",
    "_name_or_path",
    "architectures",
    "attention_bias",
    "attention_dropout",
    "attention_head_dim",
    "bos_token_id",
    "chunk_size_feed_forward",
    "dtype",
    "eod_token_id",
    "eos_token_id",
    "head_dim",
    "hidden_size",
    "id2label",
    "initializer_range",
    "intermediate_size",
    "is_llama_config",
    "label2id",
    "layer_types",
    "max_position_embeddings",
    "max_window_layers",
    "model_type",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "original_max_position_embeddings",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "pretraining_tp",
    "return_dict",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "sep_token_id",
    "sliding_window",
    "tie_word_embeddings",
    "torch_dtype",
    "transformers.js_config",
    "transformers_version",
    "unk_token_id",
    "use_cache",
    "use_qk_norm",
    "use_sliding_window",
    "vocab_size",
});

/// Values of a config; a key without a value is one that is not there.
class Keys {
 public:
  Keys(const Json& config, const std::string& where)
      : config_(config), values_(config, where, kFileForm) {}

  [[nodiscard]] bool given(const char* key) const {
    const auto found = config_.find(key);
    return found != config_.end() && !found->is_null();
  }
  [[nodiscard]] int64_t count(const char* key, int64_t otherwise) const {
    return given(key) ? values_.count(key) : otherwise;
  }
  [[nodiscard]] double number(const char* key, double otherwise) const {
    return given(key) ? values_.number(key) : otherwise;
  }
  [[nodiscard]] bool flag(const char* key, bool otherwise) const {
    return given(key) ? values_.flag(key) : otherwise;
  }
  [[nodiscard]] std::string text(const char* key) const {
    return given(key) ? values_.text(key) : std::string();
  }
  [[nodiscard]] std::vector<std::string> texts(const char* key) const {
    std::vector<std::string> all;
    if (given(key)) {
      for (const auto& one : values_.list(key)) {
        if (!one.is_string()) {
          values_.refuse(key, "a list of texts");
        }
        all.push_back(one.get<std::string>());
      }
    }
    return all;
  }

 private:
  const Json& config_;
  JsonValues values_;
};

/// A value for an error: an object by its members, cut where it is long.
std::string shown_value(const Json& value) {
  constexpr size_t kLongest = 100;
  const auto text = value.dump();
  return text.size() > kLongest ? text.substr(0, kLongest) + "..." : text;
}

/// "swish" is another name of silu; 0 experts and 1 are none.
bool is_neutral(const OneValue& key, const Json& value) {
  return value.is_null() || value == key.neutral || (value == "swish" && key.neutral == "silu") ||
         (value == 0 && key.neutral == 1 && key.neutral.is_number_integer());
}

void check_keys_of_one_value(const Json& config, const std::string& where) {
  for (const auto& key : keys_of_one_value()) {
    if (const auto found = config.find(key.key);
        found != config.end() && !is_neutral(key, *found)) {
      fail(ErrorCode::kConfig, "{}: \"{}\" expects {}, got {}. {} not supported.", where, key.key,
           key.neutral.dump(), shown_value(*found), key.what);
    }
  }
}

/// Attention sees all earlier tokens, or the model is refused.
void check_windows(const Keys& keys, const HfFamily& family, const std::string& where) {
  using Window = HfFamily::Window;
  for (const auto& type : keys.texts("layer_types")) {
    if (type != "full_attention") {
      fail(ErrorCode::kConfig,
           "{}: \"layer_types\" expects \"full_attention\" alone, got \"{}\", which is not "
           "supported.",
           where, type);
    }
  }
  if (family.window == Window::kUseSlidingWindow && keys.flag("use_sliding_window", false)) {
    fail(ErrorCode::kConfig,
         "{}: \"use_sliding_window\" expects false, got true. Sliding windows are not supported.",
         where);
  }
}

/// Mistral's window counts unless it is null; its class has one of 4096 where the key is missing.
void check_mistral_window(const Json& config, const Keys& keys, const HfFamily& family,
                          int64_t max_positions, const std::string& where) {
  constexpr int64_t kClassWindow = 4096;
  if (family.window != HfFamily::Window::kSlidingWindow ||
      (config.contains("sliding_window") && !keys.given("sliding_window"))) {
    return;
  }
  const auto window = keys.count("sliding_window", kClassWindow);
  if (window < max_positions) {
    fail(
        ErrorCode::kConfig,
        "{}: \"sliding_window\" expects null or at least \"max_position_embeddings\" {}, got {}{}. "
        "Sliding windows are not supported. For texts of up to {} tokens, which a window does not "
        "change, set \"max_position_embeddings\" to {} in a copy of the file.",
        where, max_positions, window,
        keys.given("sliding_window") ? "" : " (what the family takes without the key)", window,
        window);
  }
}

void check_query_key_norm(const Keys& keys, const HfFamily& family, const std::string& where) {
  const bool expected = family.qk_norm != "none";
  if (keys.given("use_qk_norm") && keys.flag("use_qk_norm", expected) != expected) {
    fail(
        ErrorCode::kConfig,
        "{}: \"use_qk_norm\" expects {} in the family \"{}\", got {}. Other places of the norms of "
        "queries and keys are not supported.",
        where, expected, family.model_type, !expected);
  }
}

ModelConfig model_of(const Keys& keys, const HfFamily& family) {
  ModelConfig model;
  model.vocab_size = keys.count("vocab_size", family.vocab_size);
  model.hidden_size = keys.count("hidden_size", 4096);
  model.intermediate_size = keys.count("intermediate_size", family.intermediate_size);
  model.num_hidden_layers = keys.count("num_hidden_layers", 32);
  model.num_attention_heads = keys.count("num_attention_heads", 32);
  model.num_key_value_heads = keys.count("num_key_value_heads", family.num_key_value_heads);
  model.max_position_embeddings =
      keys.count("max_position_embeddings", family.max_position_embeddings);
  model.rms_norm_eps = keys.number("rms_norm_eps", family.rms_norm_eps);
  model.head_dim = keys.count("head_dim", family.head_dim);
  model.tie_word_embeddings = keys.flag("tie_word_embeddings", false);
  model.qk_norm = family.qk_norm;
  const bool by_key =
      family.biases == HfFamily::Biases::kByKey && keys.flag("attention_bias", false);
  model.attention_bias = by_key || family.biases == HfFamily::Biases::kQueryKeyValue;
  model.attention_output_bias = by_key;
  return model;
}

std::vector<std::string> unknown_keys(const Json& config) {
  std::vector<std::string> unknown;
  for (const auto& [key, value] : config.items()) {
    const auto& one_value = keys_of_one_value();
    const auto& name = key;  // a structured binding cannot be captured
    const bool known = std::find(kKnownKeys.begin(), kKnownKeys.end(), name) != kKnownKeys.end() ||
                       std::any_of(one_value.begin(), one_value.end(),
                                   [&](const OneValue& one) { return one.key == name; });
    if (!known) {
      unknown.push_back(key);
    }
  }
  return unknown;
}

}  // namespace

HfConfig hf_config(const Json& config, const std::string& where) {
  const Keys keys(config, where);
  HfConfig read;
  read.family = &hf_family(keys.text("model_type"), keys.texts("architectures"), where);
  const auto& family = *read.family;
  check_keys_of_one_value(config, where);
  check_query_key_norm(keys, family, where);
  read.model = model_of(keys, family);
  auto& model = read.model;
  check_windows(keys, family, where);
  check_mistral_window(config, keys, family, model.max_position_embeddings, where);
  const auto heads = std::max<int64_t>(model.num_attention_heads, 1);
  const auto width = model.head_dim != 0 ? model.head_dim : model.hidden_size / heads;
  auto rope = read_hf_rope(config, family, width, model.max_position_embeddings, where);
  model.rope_theta = rope.theta;
  model.rope_scaling = rope.scaling;
  read.notes = std::move(rope.notes);
  read.ignored = unknown_keys(config);
  try {
    model.validate();
  } catch (const Error& error) {
    throw Error(error.code(), where + ": " + error.what());
  }
  return read;
}

HfConfig read_hf_config(const fs::path& directory) {
  const auto path = directory / "config.json";
  const auto json = read_json_file(path, kFileForm);
  // A model of ours says itself which keys it has.
  if (json.is_object() && json.value("model_type", Json()) == "loopbank") {
    return {.family = &hf_family("loopbank", {}, path.string()),
            .model = load_config(path),
            .ignored = {},
            .notes = {}};
  }
  return hf_config(json, path.string());
}

}  // namespace loopbank
