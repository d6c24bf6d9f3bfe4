#include "loopbank/interop/hf_weights.h"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "loopbank/interop/hf_config.h"
#include "loopbank/model/cost.h"

namespace loopbank {
namespace {

using Shapes = std::map<std::string, std::vector<int64_t>>;

/// A published model: config.json's keys that count, and its tensors as they are stored.
struct Published {
  const char* name;
  nlohmann::json config;
  int64_t parameters;
  size_t num_tensors;
  Shapes tensors;
};

struct LayerShapes {
  int64_t layers, width, inner, query, key_value, head;
};

Shapes stored_shapes(int64_t vocabulary, const LayerShapes& of, bool has_head_norms) {
  Shapes shapes = {{"model.embed_tokens.weight", {vocabulary, of.width}},
                   {"model.norm.weight", {of.width}}};
  for (int64_t l = 0; l < of.layers; ++l) {
    const auto layer = fmt::format("model.layers.{}.", l);
    shapes[layer + "input_layernorm.weight"] = {of.width};
    shapes[layer + "post_attention_layernorm.weight"] = {of.width};
    shapes[layer + "self_attn.q_proj.weight"] = {of.query, of.width};
    shapes[layer + "self_attn.k_proj.weight"] = {of.key_value, of.width};
    shapes[layer + "self_attn.v_proj.weight"] = {of.key_value, of.width};
    shapes[layer + "self_attn.o_proj.weight"] = {of.width, of.query};
    shapes[layer + "mlp.gate_proj.weight"] = {of.inner, of.width};
    shapes[layer + "mlp.up_proj.weight"] = {of.inner, of.width};
    shapes[layer + "mlp.down_proj.weight"] = {of.width, of.inner};
    if (has_head_norms) {
      shapes[layer + "self_attn.q_norm.weight"] = {of.head};
      shapes[layer + "self_attn.k_norm.weight"] = {of.head};
    }
  }
  return shapes;
}

std::vector<Published> published_models() {
  std::vector<Published> models;
  models.push_back({.name = "SmolLM2-135M",
                    .config = {{"model_type", "llama"},
                               {"architectures", {"LlamaForCausalLM"}},
                               {"vocab_size", 49152},
                               {"hidden_size", 576},
                               {"intermediate_size", 1536},
                               {"num_hidden_layers", 30},
                               {"num_attention_heads", 9},
                               {"num_key_value_heads", 3},
                               {"max_position_embeddings", 8192},
                               {"rope_theta", 100000},
                               {"rope_interleaved", false},
                               {"rms_norm_eps", 1e-5},
                               {"tie_word_embeddings", true}},
                    .parameters = 134'515'008,
                    .num_tensors = 272,
                    .tensors = stored_shapes(49152, {30, 576, 1536, 576, 192, 64}, false)});
  models.push_back({.name = "Llama-3.2-1B",
                    .config = {{"model_type", "llama"},
                               {"vocab_size", 128256},
                               {"hidden_size", 2048},
                               {"intermediate_size", 8192},
                               {"num_hidden_layers", 16},
                               {"num_attention_heads", 32},
                               {"num_key_value_heads", 8},
                               {"head_dim", 64},
                               {"max_position_embeddings", 131072},
                               {"rope_theta", 500000.0},
                               {"rope_scaling",
                                {{"factor", 32.0},
                                 {"high_freq_factor", 4.0},
                                 {"low_freq_factor", 1.0},
                                 {"original_max_position_embeddings", 8192},
                                 {"rope_type", "llama3"}}},
                               {"rms_norm_eps", 1e-5},
                               {"tie_word_embeddings", true}},
                    .parameters = 1'235'814'400,
                    .num_tensors = 146,
                    .tensors = stored_shapes(128256, {16, 2048, 8192, 2048, 512, 64}, false)});
  models.push_back({.name = "Qwen3-0.6B",
                    .config = {{"model_type", "qwen3"},
                               {"vocab_size", 151936},
                               {"hidden_size", 1024},
                               {"intermediate_size", 3072},
                               {"num_hidden_layers", 28},
                               {"num_attention_heads", 16},
                               {"num_key_value_heads", 8},
                               {"head_dim", 128},
                               {"max_position_embeddings", 40960},
                               {"rope_theta", 1000000},
                               {"rope_scaling", nullptr},
                               {"rms_norm_eps", 1e-6},
                               {"sliding_window", nullptr},
                               {"use_sliding_window", false},
                               {"max_window_layers", 28},
                               {"tie_word_embeddings", true}},
                    .parameters = 596'049'920,
                    .num_tensors = 310,
                    .tensors = stored_shapes(151936, {28, 1024, 3072, 2048, 1024, 128}, true)});
  return models;
}

TEST(HfWeights, CoversThePublishedModelsTensorByTensor) {
  for (const auto& published : published_models()) {
    ASSERT_EQ(published.tensors.size(), published.num_tensors) << published.name;
    const auto read = hf_config(published.config, published.name);
    EXPECT_TRUE(read.ignored.empty()) << published.name;
    EXPECT_EQ(static_cast<int64_t>(model_cost(read.model, 1).parameters.total()),
              published.parameters)
        << published.name;
    const LanguageModel model(read.model, at::kMeta);  // shapes alone
    EXPECT_EQ(model.parameters().count(), published.parameters) << published.name;
    Shapes mapped;
    for (const auto& parameter : model.parameters().all()) {
      mapped[hf_tensor_name(*read.family, parameter.name)] = parameter.value.sizes().vec();
    }
    EXPECT_EQ(mapped, published.tensors) << published.name;
  }
}

TEST(HfWeights, NamesBiasesHeadAndTheNormsOfEachFamily) {
  const auto& qwen2 = hf_family("qwen2", {}, "test");
  EXPECT_EQ(hf_tensor_name(qwen2, "layers.12.block.attention.query.bias"),
            "model.layers.12.self_attn.q_proj.bias");
  EXPECT_EQ(hf_tensor_name(qwen2, "head.weight"), "lm_head.weight");
  const auto& hunyuan = hf_family("hunyuan_v1_dense", {}, "test");
  EXPECT_EQ(hf_tensor_name(hunyuan, "layers.0.block.attention.key_norm.weight"),
            "model.layers.0.self_attn.key_layernorm.weight");
  const auto& ours = hf_family("loopbank", {}, "test");
  EXPECT_EQ(hf_tensor_name(ours, "layers.0.router.weight"), "layers.0.router.weight");
}

}  // namespace
}  // namespace loopbank
