#include "loopbank/interop/hf_family.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "loopbank/support/error.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

using Biases = HfFamily::Biases;
using Window = HfFamily::Window;

constexpr std::array<HfFamily, 6> kFamilies = {{
    {.model_type = "llama", .architecture = "LlamaForCausalLM", .biases = Biases::kByKey},
    {.model_type = "mistral",
     .architecture = "MistralForCausalLM",
     .intermediate_size = 14336,
     .num_key_value_heads = 8,
     .max_position_embeddings = 131072,
     .window = Window::kSlidingWindow},
    {.model_type = "qwen2",
     .architecture = "Qwen2ForCausalLM",
     .vocab_size = 151936,
     .intermediate_size = 22016,
     .num_key_value_heads = 32,
     .max_position_embeddings = 32768,
     .biases = Biases::kQueryKeyValue,
     .window = Window::kUseSlidingWindow},
    {.model_type = "qwen3",
     .architecture = "Qwen3ForCausalLM",
     .vocab_size = 151936,
     .intermediate_size = 22016,
     .num_key_value_heads = 32,
     .head_dim = 128,
     .max_position_embeddings = 32768,
     .biases = Biases::kByKey,
     .window = Window::kUseSlidingWindow,
     .qk_norm = "before",
     .query_norm = "q_norm",
     .key_norm = "k_norm"},
    {.model_type = "hunyuan_v1_dense",
     .architecture = "HunYuanDenseV1ForCausalLM",
     .vocab_size = 290943,
     .rms_norm_eps = 1e-5,
     .biases = Biases::kByKey,
     .qk_norm = "after",
     .query_norm = "query_layernorm",
     .key_norm = "key_layernorm",
     .dynamic_alpha = true},
    {.model_type = "loopbank", .architecture = "LoopbankForCausalLM"},
}};

struct Unsupported {
  std::string_view model_type;
  std::string_view name;
  std::string_view what;  ///< with its verb
};

constexpr std::string_view kEncoderDecoder = "an encoder beside the decoder is";
constexpr std::string_view kNoDecoder = "attention to later tokens (an encoder) is";
constexpr std::string_view kExperts = "a mixture of experts is";
constexpr std::string_view kLearnedPositions = "learned positions are";
constexpr std::string_view kAlibi = "positions by ALiBi are";
constexpr std::string_view kStateSpace = "state-space layers are";
constexpr std::string_view kImages = "images beside text are";

constexpr auto kUnsupported = std::to_array<Unsupported>({
    {"albert", "ALBERT", kNoDecoder},
    {"apertus", "Apertus", "xIELU is"},
    {"arcee", "Arcee", "squared ReLU without a gate is"},
    {"baichuan", "Baichuan", "its fused projection W_pack and modelling code of its own are"},
    {"bamba", "Bamba", kStateSpace},
    {"bart", "BART", kEncoderDecoder},
    {"bert", "BERT", kNoDecoder},
    {"bitnet", "BitNet", "norms within attention and feed-forward are"},
    {"bloom", "BLOOM", kAlibi},
    {"chatglm", "ChatGLM", "rotary embeddings of half a head and fused projections are"},
    {"codegen", "CodeGen", "parallel residual branches are"},
    {"cohere", "Cohere", "parallel residual branches are"},
    {"cohere2", "Cohere2", "parallel residual branches are"},
    {"dbrx", "DBRX", kExperts},
    {"deberta-v2", "DeBERTa", kNoDecoder},
    {"deepseek_v2", "DeepSeek-V2", "latent attention and a mixture of experts are"},
    {"deepseek_v3", "DeepSeek-V3", "latent attention and a mixture of experts are"},
    {"distilbert", "DistilBERT", kNoDecoder},
    {"electra", "ELECTRA", kNoDecoder},
    {"ernie4_5", "ERNIE 4.5", "rotary embeddings of neighbouring pairs are"},
    {"exaone4", "EXAONE 4", "norms behind the branches are"},
    {"falcon", "Falcon", "parallel residual branches are"},
    {"falcon_h1", "Falcon-H1", kStateSpace},
    {"falcon_mamba", "Falcon Mamba", kStateSpace},
    {"gemma", "Gemma", "norms scaled by 1 + weight, scaled embeddings and GELU are"},
    {"gemma2", "Gemma 2", "norms scaled by 1 + weight, soft-capped logits and GELU are"},
    {"gemma3", "Gemma 3", "norms scaled by 1 + weight, sliding windows and GELU are"},
    {"gemma3_text", "Gemma 3", "norms scaled by 1 + weight, sliding windows and GELU are"},
    {"gemma3n", "Gemma 3n", "norms scaled by 1 + weight and embeddings of each layer are"},
    {"glm", "GLM", "rotary embeddings of half a head are"},
    {"glm4", "GLM-4", "rotary embeddings of half a head and norms behind the branches are"},
    {"gpt2", "GPT-2", kLearnedPositions},
    {"gpt_bigcode", "GPT-BigCode", kLearnedPositions},
    {"gpt_neo", "GPT-Neo", kLearnedPositions},
    {"gpt_neox", "GPT-NeoX", "parallel residual branches are"},
    {"gpt_oss", "GPT-OSS", "a mixture of experts and attention sinks are"},
    {"gptj", "GPT-J", "parallel residual branches are"},
    {"granite", "Granite", "multipliers of embeddings, branches and logits are"},
    {"granitemoe", "Granite MoE", kExperts},
    {"helium", "Helium", "rotary embeddings of neighbouring pairs are"},
    {"hunyuan_v1_moe", "HunYuan MoE", kExperts},
    {"internlm2", "InternLM2", "its fused projection wqkv and modelling code of its own are"},
    {"jamba", "Jamba", kStateSpace},
    {"lfm2", "LFM2", "convolution layers are"},
    {"llama4", "Llama 4", "a mixture of experts and attention in chunks are"},
    {"llama4_text", "Llama 4", "a mixture of experts and attention in chunks are"},
    {"llava", "LLaVA", kImages},
    {"mamba", "Mamba", kStateSpace},
    {"mamba2", "Mamba-2", kStateSpace},
    {"mbart", "mBART", kEncoderDecoder},
    {"minicpm", "MiniCPM", "multipliers of embeddings, branches and logits are"},
    {"ministral", "Ministral", "sliding windows are"},
    {"mistral3", "Mistral 3", kImages},
    {"mixtral", "Mixtral", kExperts},
    {"mllama", "Llama 3.2 Vision", kImages},
    {"modernbert", "ModernBERT", kNoDecoder},
    {"mpt", "MPT", kAlibi},
    {"mt5", "mT5", kEncoderDecoder},
    {"nemotron", "Nemotron", "norms scaled by 1 + weight and squared ReLU are"},
    {"olmo", "OLMo", "norms without a weight are"},
    {"olmo2", "OLMo 2", "norms behind the branches are"},
    {"olmo3", "OLMo 3", "norms behind the branches are"},
    {"olmoe", "OLMoE", kExperts},
    {"opt", "OPT", kLearnedPositions},
    {"persimmon", "Persimmon", "LayerNorm and squared ReLU are"},
    {"phi", "Phi", "parallel residual branches are"},
    {"phi3", "Phi-3", "fused projections (qkv_proj, gate_up_proj) are"},
    {"phimoe", "Phi-MoE", kExperts},
    {"qwen", "Qwen (1)", "its fused projection c_attn and modelling code of its own are"},
    {"qwen2_5_vl", "Qwen2.5-VL", kImages},
    {"qwen2_moe", "Qwen2-MoE", kExperts},
    {"qwen2_vl", "Qwen2-VL", kImages},
    {"qwen3_moe", "Qwen3-MoE", kExperts},
    {"qwen3_next", "Qwen3-Next", "linear attention and a mixture of experts are"},
    {"qwen3_vl", "Qwen3-VL", kImages},
    {"recurrent_gemma", "RecurrentGemma", "recurrent layers are"},
    {"roberta", "RoBERTa", kNoDecoder},
    {"rwkv", "RWKV", "recurrent layers are"},
    {"smollm3", "SmolLM3", "layers without rotary embeddings are"},
    {"stablelm", "StableLM", "LayerNorm and rotary embeddings of a part of a head are"},
    {"starcoder2", "StarCoder2", "LayerNorm and GELU without a gate are"},
    {"t5", "T5", kEncoderDecoder},
    {"whisper", "Whisper", kEncoderDecoder},
    {"xglm", "XGLM", kLearnedPositions},
    {"xlm-roberta", "XLM-RoBERTa", kNoDecoder},
});

std::vector<std::string> supported_types() {
  std::vector<std::string> types;
  for (const auto& family : kFamilies) {
    types.emplace_back(family.model_type);
  }
  return types;
}

[[noreturn]] void refuse_type(const std::string& model_type, const std::string& where) {
  const auto types = supported_types();
  const auto known = std::find_if(kUnsupported.begin(), kUnsupported.end(),
                                  [&](const auto& one) { return one.model_type == model_type; });
  if (known != kUnsupported.end()) {
    fail(ErrorCode::kConfig,
         "{}: expected a \"model_type\" of {}, got \"{}\". {}: {} not supported.", where,
         fmt::join(types, ", "), model_type, known->name, known->what);
  }
  const auto hint = suggestion(model_type, types);
  fail(ErrorCode::kConfig, "{}: expected a \"model_type\" of {}, got \"{}\".{}", where,
       fmt::join(types, ", "), model_type, hint.starts_with(" Did") ? hint : "");
}

/// What an architecture is that is none of the families' own.
void check_architecture(const HfFamily& family, const std::vector<std::string>& architectures,
                        const std::string& where) {
  const auto own = [&](const auto& name) { return name == family.architecture; };
  if (!architectures.empty() && std::none_of(architectures.begin(), architectures.end(), own)) {
    fail(ErrorCode::kConfig,
         "{}: \"architectures\" expects \"{}\" with \"model_type\" \"{}\", got \"{}\". Models "
         "without a language model's head, or with another, are not read.",
         where, family.architecture, family.model_type, fmt::join(architectures, "\", \""));
  }
}

}  // namespace

const HfFamily& hf_family(const std::string& model_type,
                          const std::vector<std::string>& architectures, const std::string& where) {
  for (const auto& family : kFamilies) {
    const bool named = model_type.empty() ? std::find(architectures.begin(), architectures.end(),
                                                      family.architecture) != architectures.end()
                                          : model_type == family.model_type;
    if (named) {
      check_architecture(family, architectures, where);
      return family;
    }
  }
  if (model_type.empty()) {
    fail(ErrorCode::kConfig,
         "{}: expected \"model_type\" or \"architectures\" of a family that is read, got {}.",
         where,
         architectures.empty() ? "neither"
                               : fmt::format("\"{}\"", fmt::join(architectures, "\", \"")));
  }
  refuse_type(model_type, where);
}

}  // namespace loopbank
