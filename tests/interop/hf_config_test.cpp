#include "loopbank/interop/hf_config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

using nlohmann::json;

std::string config_error(const json& config) {
  try {
    (void)hf_config(config, "config.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kConfig);
    return error.what();
  }
  return "read without an error";
}

/// A config of the family with some keys besides.
json with(const char* family, const json& keys) {
  json config = {{"model_type", family}, {"hidden_size", 64}, {"num_attention_heads", 4}};
  config.update(keys);
  return config;
}

TEST(HfConfig, TakesTheDefaultsOfTheFamilysClass) {
  const auto llama = hf_config({{"model_type", "llama"}}, "config.json").model;
  EXPECT_EQ(llama.vocab_size, 32000);
  EXPECT_EQ(llama.hidden_size, 4096);
  EXPECT_EQ(llama.intermediate_size, 11008);
  EXPECT_EQ(llama.num_key_value_heads, 32);
  EXPECT_EQ(llama.max_position_embeddings, 2048);
  EXPECT_EQ(llama.rms_norm_eps, 1e-6);
  EXPECT_EQ(llama.rope_theta, 10000.0);
  EXPECT_EQ(llama.qk_norm, "none");
  EXPECT_FALSE(llama.attention_bias);
  EXPECT_FALSE(llama.tie_word_embeddings);

  const auto qwen2 = hf_config({{"model_type", "qwen2"}}, "config.json").model;
  EXPECT_EQ(qwen2.vocab_size, 151936);
  EXPECT_EQ(qwen2.max_position_embeddings, 32768);
  EXPECT_TRUE(qwen2.attention_bias);
  EXPECT_FALSE(qwen2.attention_output_bias);

  const auto qwen3 = hf_config(with("qwen3", {{"num_key_value_heads", 2}}), "config.json").model;
  EXPECT_EQ(qwen3.head_size(), 128);
  EXPECT_EQ(qwen3.qk_norm, "before");
  EXPECT_FALSE(qwen3.attention_bias);

  const auto hunyuan = hf_config(with("hunyuan_v1_dense", json::object()), "config.json").model;
  EXPECT_EQ(hunyuan.rms_norm_eps, 1e-5);
  EXPECT_EQ(hunyuan.qk_norm, "after");
  EXPECT_EQ(hunyuan.head_size(), 16);

  const auto mistral =
      hf_config(with("mistral", {{"sliding_window", nullptr}, {"num_attention_heads", 8}}),
                "config.json")
          .model;
  EXPECT_EQ(mistral.num_key_value_heads, 8);
  EXPECT_EQ(mistral.intermediate_size, 14336);
}

TEST(HfConfig, TakesNullForAMissingValueAndBothNamesOfSilu) {
  const auto read = hf_config(with("llama", {{"num_key_value_heads", nullptr},
                                             {"head_dim", nullptr},
                                             {"rope_scaling", nullptr},
                                             {"quantization_config", nullptr},
                                             {"hidden_act", "swish"}}),
                              "config.json");
  EXPECT_EQ(read.model.num_key_value_heads, 4);
  EXPECT_EQ(read.model.head_size(), 16);
  EXPECT_TRUE(read.ignored.empty());
}

TEST(HfConfig, BiasesOfAllFourProjectionsFollowTheKeyButInQwen2) {
  for (const char* family : {"llama", "qwen3", "hunyuan_v1_dense"}) {
    const auto model =
        hf_config(with(family, {{"attention_bias", true}, {"num_key_value_heads", 2}}), "c").model;
    EXPECT_TRUE(model.attention_bias) << family;
    EXPECT_TRUE(model.attention_output_bias) << family;
  }
  const auto mistral = hf_config(
      with("mistral",
           {{"attention_bias", true}, {"sliding_window", nullptr}, {"num_key_value_heads", 2}}),
      "c");
  EXPECT_FALSE(mistral.model.attention_bias);  // its class does not read the key
}

TEST(HfConfig, NamesTheFamilyByItsArchitecture) {
  const auto read = hf_config({{"architectures", {"LlamaForCausalLM"}}}, "config.json");
  EXPECT_EQ(read.family->model_type, "llama");
  EXPECT_EQ(
      config_error({{"architectures", {"GPT2LMHeadModel"}}}),
      "config.json: expected \"model_type\" or \"architectures\" of a family that is read, got "
      "\"GPT2LMHeadModel\".");
}

TEST(HfConfig, RefusesOtherFamiliesByWhatTheyHave) {
  const std::vector<std::pair<const char*, const char*>> refused = {
      {"gpt2", "GPT-2: learned positions are not supported."},
      {"gpt_neox", "GPT-NeoX: parallel residual branches are not supported."},
      {"gemma2",
       "Gemma 2: norms scaled by 1 + weight, soft-capped logits and GELU are not "
       "supported."},
      {"phi", "Phi: parallel residual branches are not supported."},
      {"mamba", "Mamba: state-space layers are not supported."},
      {"mixtral", "Mixtral: a mixture of experts is not supported."},
      {"qwen2_moe", "Qwen2-MoE: a mixture of experts is not supported."},
      {"falcon", "Falcon: parallel residual branches are not supported."},
      {"bloom", "BLOOM: positions by ALiBi are not supported."},
      {"opt", "OPT: learned positions are not supported."},
      {"bert", "BERT: attention to later tokens (an encoder) is not supported."},
      {"t5", "T5: an encoder beside the decoder is not supported."},
      {"olmo2", "OLMo 2: norms behind the branches are not supported."},
  };
  for (const auto& [family, text] : refused) {
    const auto error = config_error({{"model_type", family}});
    EXPECT_NE(error.find(text), std::string::npos) << error;
    EXPECT_NE(error.find("hunyuan_v1_dense"), std::string::npos) << error;  // what is read
  }
  EXPECT_EQ(config_error({{"model_type", "qwen_3"}}),
            "config.json: expected a \"model_type\" of llama, mistral, qwen2, qwen3, "
            "hunyuan_v1_dense, loopbank, got \"qwen_3\". Did you mean \"qwen3\"?");
}

TEST(HfConfig, RefusesValuesThatWouldChangeTheResult) {
  const std::vector<std::pair<json, const char*>> refused = {
      {with("llama", {{"mlp_bias", true}}),
       "\"mlp_bias\" expects false, got true. Biases of the feed-forward block are not supported."},
      {with("llama", {{"hidden_act", "gelu"}}), "\"hidden_act\" expects \"silu\", got \"gelu\"."},
      {with("llama", {{"partial_rotary_factor", 0.5}}),
       "\"partial_rotary_factor\" expects 1.0, got 0.5."},
      {with("llama", {{"quantization_config", {{"quant_method", "awq"}}}}),
       "\"quantization_config\" expects null, got {\"quant_method\":\"awq\"}. Quantized weights "
       "are "
       "not supported."},
      {with("llama", {{"auto_map", {{"AutoModel", "modeling.Own"}}}}),
       "Modelling code of a model's own is not supported."},
      {with("llama", {{"num_local_experts", 8}}), "A mixture of experts is not supported."},
      {with("llama", {{"architectures", {"LlamaForSequenceClassification"}}}),
       "\"architectures\" expects \"LlamaForCausalLM\" with \"model_type\" \"llama\", got "
       "\"LlamaForSequenceClassification\"."},
      {with("qwen2", {{"use_sliding_window", true}}), "Sliding windows are not supported."},
      {with("qwen2", {{"layer_types", {"full_attention", "sliding_attention"}}}),
       "got \"sliding_attention\""},
      {with("mistral", json::object()), "got 4096 (what the family takes without the key)."},
      {with("mistral", {{"sliding_window", 8}, {"max_position_embeddings", 16}}),
       "\"sliding_window\" expects null or at least \"max_position_embeddings\" 16, got 8."},
      {with("hunyuan_v1_dense", {{"use_qk_norm", false}}), "\"use_qk_norm\" expects true"},
      {with("llama", {{"hidden_size", 64.5}}), "\"hidden_size\" expects a whole number"},
      {with("llama", {{"num_attention_heads", 3}}), "\"num_attention_heads\" expects"},
      {with("llama", {{"vocab_size", 0}}), "\"vocab_size\" expects"},
  };
  for (const auto& [config, text] : refused) {
    const auto error = config_error(config);
    EXPECT_NE(error.find(text), std::string::npos) << error;
    EXPECT_TRUE(error.starts_with("config.json: ")) << error;
  }
  EXPECT_EQ(hf_config(with("mistral", {{"sliding_window", 16},
                                       {"max_position_embeddings", 16},
                                       {"num_key_value_heads", 2}}),
                      "c")
                .model.max_position_embeddings,
            16);
}

TEST(HfConfig, NamesKeysThatItDoesNotKnow) {
  const auto read = hf_config(
      with("llama", {{"torch_dtype", "bfloat16"}, {"use_cache", true}, {"my_key", 3}}), "c");
  EXPECT_EQ(read.ignored, std::vector<std::string>{"my_key"});
}

TEST(HfRope, TakesTheKeysOfBothReleasesOfTransformers) {
  const json scaling = {{"rope_type", "llama3"},
                        {"factor", 32.0},
                        {"low_freq_factor", 1.0},
                        {"high_freq_factor", 4.0},
                        {"original_max_position_embeddings", 8192}};
  auto parameters = scaling;
  parameters["rope_theta"] = 500000.0;
  const auto old =
      hf_config(with("llama", {{"rope_theta", 500000.0}, {"rope_scaling", scaling}}), "c");
  const auto late = hf_config(with("llama", {{"rope_parameters", parameters}}), "c");
  EXPECT_EQ(old.model, late.model);
  EXPECT_EQ(old.model.rope_theta, 500000.0);
  EXPECT_EQ(old.model.rope_scaling.rope_type, "llama3");
  EXPECT_EQ(old.model.rope_scaling.factor, 32.0);
  EXPECT_EQ(old.model.rope_scaling.original_max_position_embeddings, 8192);
}

TEST(HfRope, ReadsYarnWithWhatTheLibraryTakesForAbsent) {
  const auto model =
      hf_config(
          with("qwen2", {{"max_position_embeddings", 1024},
                         {"num_key_value_heads", 2},
                         {"rope_scaling",
                          {{"type", "yarn"}, {"factor", 4}, {"beta_fast", 0}, {"mscale", 0.7}}}}),
          "c")
          .model;
  EXPECT_EQ(model.rope_scaling.rope_type, "yarn");
  EXPECT_EQ(model.rope_scaling.factor, 4.0);
  EXPECT_EQ(model.rope_scaling.beta_fast, 32.0);
  EXPECT_FALSE(model.rope_scaling.mscale.has_value());  // counts with mscale_all_dim alone
  EXPECT_EQ(model.rope_scaling.original_max_position_embeddings, 1024);
}

TEST(HfRope, FoldsHunYuansAlphaIntoTheBase) {
  const json dynamic = {{"type", "dynamic"}, {"alpha", 1000.0}, {"factor", 1.0}};
  const auto read = hf_config(
      with("hunyuan_v1_dense", {{"head_dim", 128}, {"rope_scaling", dynamic}}), "config.json");
  EXPECT_NEAR(read.model.rope_theta, 1e4 * std::pow(1000.0, 128.0 / 126.0), 1e-6);
  EXPECT_EQ(read.model.rope_scaling, RopeScaling());
  ASSERT_EQ(read.notes.size(), 1U);
  // Elsewhere "dynamic" changes nothing up to the longest text.
  const auto llama = hf_config(with("llama", {{"rope_scaling", dynamic}}), "config.json");
  EXPECT_EQ(llama.model.rope_theta, 10000.0);
  EXPECT_EQ(llama.model.rope_scaling, RopeScaling());
}

TEST(HfRope, RefusesWhatItDoesNotKnowOrIsSaidTwice) {
  const json linear = {{"rope_type", "linear"}, {"factor", 2.0}};
  const json other = {{"rope_type", "linear"}, {"factor", 4.0}};
  const std::vector<std::pair<json, const char*>> refused = {
      {{{"rope_scaling", {{"rope_type", "longrope"}}}},
       "got \"longrope\", which is not supported."},
      {{{"rope_scaling", linear}, {"rope_parameters", other}}, "got both with different values"},
      {{{"rope_scaling", {{"rope_type", "linear"}, {"type", "yarn"}}}},
       "\"rope_type\" expects what \"type\" says, \"yarn\", got \"linear\"."},
      {{{"rope_scaling", {{"rope_type", "linear"}}}}, "expected the key \"factor\", got none."},
      {{{"rope_theta", 1e4}, {"rope_parameters", {{"rope_theta", 1e6}}}},
       "\"rope_theta\" expects one value, got 10000 and, within the parameters of the rotary "
       "angles, 1000000."},
      {{{"rope_parameters", {{"full_attention", {{"rope_theta", 1e6}}}}}},
       "rotary angles by kind of layer are not supported."},
      {{{"rope_parameters", {{"partial_rotary_factor", 0.25}}}}, "expects 1, got 0.25"},
      {{{"rope_scaling", {{"rope_type", "llama3"}, {"factor", 8.0}}}},
       "expected the key \"low_freq_factor\", got none."},
  };
  for (const auto& [keys, text] : refused) {
    const auto error = config_error(with("llama", keys));
    EXPECT_NE(error.find(text), std::string::npos) << error;
  }
}

}  // namespace
}  // namespace loopbank
