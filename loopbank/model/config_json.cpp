/// config.json of a model, written and read.

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "loopbank/model/config.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/json.h"

namespace loopbank {
namespace {

constexpr std::string_view kModelType = "loopbank";

/// Keys that imported models alone need: a config.json without them is the paper's block.
constexpr std::array<std::string_view, 6> kWrittenWhereSet = {
    "head_dim",   "qk_norm",        "attention_bias", "attention_output_bias",
    "hidden_act", "loop_scale_kind"};

/// What says nothing about the model's shape and numbers: what Hugging Face tools add to every
/// config, and what ours adds when it is exported.
const std::vector<std::string> kOfOtherTools = {"model_type",
                                                "architectures",
                                                "auto_map",
                                                "torch_dtype",
                                                "dtype",
                                                "transformers_version",
                                                "_name_or_path",
                                                "name_or_path",
                                                "_attn_implementation_autoset",
                                                "attn_implementation",
                                                "use_cache",
                                                "exit_rule",
                                                "initializer_range",
                                                "tokenizer_class",
                                                "bos_token_id",
                                                "eos_token_id",
                                                "pad_token_id",
                                                "sep_token_id",
                                                "decoder_start_token_id",
                                                "is_decoder",
                                                "is_encoder_decoder",
                                                "add_cross_attention",
                                                "cross_attention_hidden_size",
                                                "chunk_size_feed_forward",
                                                "return_dict",
                                                "output_attentions",
                                                "output_hidden_states",
                                                "problem_type",
                                                "id2label",
                                                "label2id",
                                                "num_labels"};

nlohmann::ordered_json rope_scaling_to_json(RopeScaling scaling) {
  auto json = write_json(scaling.fields_of_type());
  for (auto member = json.begin(); member != json.end();) {
    member = member->is_null() ? json.erase(member) : std::next(member);
  }
  return json;
}

/// Takes the rotary scaling out of a config's JSON: what is left are fields of one value.
/// @param where  names the file
void take_rope_scaling(nlohmann::json& config, ModelConfig& to, const std::string& where) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto found = config.find(key);
    if (found == config.end()) {
      continue;
    }
    auto scaling = *found;
    config.erase(found);
    if (scaling.is_null()) {
      continue;
    }
    if (scaling.is_object()) {
      if (!scaling.contains("rope_type") && scaling.contains("type")) {
        scaling["rope_type"] = scaling["type"];
      }
      scaling.erase("type");
      if (scaling.contains("rope_theta")) {  // transformers 5
        config["rope_theta"] = scaling["rope_theta"];
        scaling.erase("rope_theta");
      }
    }
    read_json(scaling, to.rope_scaling.fields(), where + ": " + key);
  }
}

}  // namespace

nlohmann::ordered_json to_json(const ModelConfig& config) {
  auto copy = config;
  copy.validate();
  nlohmann::ordered_json json = {{"model_type", kModelType}};
  json.update(write_json(copy.fields()));
  ModelConfig defaults;
  const auto by_default = write_json(defaults.fields());
  for (const auto key : kWrittenWhereSet) {
    const std::string name(key);
    if (json.at(name) == by_default.at(name)) {
      json.erase(name);
    }
  }
  if (copy.rope_scaling.is_scaled()) {
    json["rope_scaling"] = rope_scaling_to_json(copy.rope_scaling);
  }
  return json;
}

void save_config(const ModelConfig& config, const std::filesystem::path& path) {
  write_file_atomically(path, to_json(config).dump(2) + "\n", ErrorCode::kCheckpoint);
}

ModelConfig load_config(const std::filesystem::path& path) {
  return config_from_json(
      read_json_file(
          path, {.code = ErrorCode::kConfig, .expected = "a JSON object with a model's settings"}),
      path.string());
}

ModelConfig config_from_json(nlohmann::json json, const std::string& where) {
  const auto type = json.is_object() ? json.value("model_type", nlohmann::json()) : json;
  if (type != kModelType) {
    fail(ErrorCode::kConfig,
         "{}: \"model_type\" expects \"{}\", got {}. Other models are not read.", where, kModelType,
         type.dump());
  }
  ModelConfig config;
  take_rope_scaling(json, config, where);
  read_json(json, config.fields(), where, kOfOtherTools);
  try {
    config.validate();
  } catch (const Error& error) {
    throw Error(error.code(), where + ": " + error.what());
  }
  return config;
}

}  // namespace loopbank
