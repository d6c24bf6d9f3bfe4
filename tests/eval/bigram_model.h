#pragma once
/// Models over bytes whose probabilities are known without running them.

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/randn.h>

#include <cmath>
#include <cstdint>
#include <string_view>
#include <utility>

#include "loopbank/model/language_model.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank::testing {

constexpr int64_t kByteVocabulary = 257;  // bytes and end of text
constexpr int64_t kBigramWidth = 258;     // at least the vocabulary, and even

inline ModelConfig bigram_config(int64_t max_length = 64, int64_t loops = 0) {
  ModelConfig config;
  config.vocab_size = kByteVocabulary;
  config.hidden_size = kBigramWidth;
  config.intermediate_size = 2;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 1;
  config.max_position_embeddings = max_length;
  config.max_loops = loops;
  return config;
}

/// A model whose logits behind token t are column t of `table` [V, V], whatever stands before t:
/// the embedding is one-hot and both residual branches are off. An adaptive layer stops with
/// probability 1/2 after each loop but the last.
inline LanguageModel bigram_model(const at::Tensor& table, const ModelConfig& config) {
  const at::NoGradGuard no_grad;
  LanguageModel model(config);
  model.parameters().initialize(/*seed=*/1);
  const auto get = [&](const std::string& name) { return model.parameters().get(name).value; };
  for (int64_t l = 0; l < config.num_hidden_layers; ++l) {
    const auto layer = "layers." + std::to_string(l);
    get(layer + ".block.attention.output.weight").zero_();
    get(layer + ".block.feed_forward.down.weight").zero_();
    if (config.loops(l) > 0) {
      get(layer + ".router.weight").zero_();
      get(layer + ".router.bias").zero_();
    }
  }
  get("embedding.weight").copy_(at::eye(config.vocab_size, config.hidden_size));
  // rms_norm of a one-hot row is that row over sqrt(1 / D + eps).
  get("final_norm.weight")
      .fill_(std::sqrt(1.0 / static_cast<double>(config.hidden_size) + config.rms_norm_eps));
  get("head.weight").zero_();
  get("head.weight").narrow(1, 0, config.vocab_size).copy_(table);
  return model;
}

/// Logits [V, V] with a fixed seed, of about the spread of a trained model's.
inline at::Tensor random_table(uint64_t seed = 7) {
  auto generator = at::detail::createCPUGenerator(seed);
  return at::randn({kByteVocabulary, kByteVocabulary}, generator) * 2;
}

/// ln p(text | the token before) under the table, summed over the bytes of the text.
inline double bigram_log_probability(const at::Tensor& table, TokenId before,
                                     std::string_view text) {
  const auto log_probabilities = at::log_softmax(table.to(at::kDouble), 0);  // [V, V]
  double sum = 0.0;
  int64_t last = before;
  for (const char byte : text) {
    const auto next = static_cast<int64_t>(static_cast<unsigned char>(byte));
    sum += log_probabilities[next][last].item<double>();
    last = next;
  }
  return sum;
}

/// A small looped model with both memory banks and random weights.
inline LanguageModel random_model(int64_t max_length = 64) {
  ModelConfig config;
  config.vocab_size = kByteVocabulary;
  config.hidden_size = 32;
  config.intermediate_size = 64;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.max_position_embeddings = max_length;
  config.max_loops = 3;
  config.loop_scale_init = 0.0;  // every loop does something
  config.local_memory_slots = 8;
  config.global_memory_slots = 4;
  LanguageModel model(config);
  model.parameters().initialize(/*seed=*/3);
  const at::NoGradGuard no_grad;
  for (const auto& parameter : model.parameters().all()) {
    parameter.value.mul_(parameter.value.dim() == 2 ? 5.0 : 1.0);  // far from uniform
  }
  return model;
}

}  // namespace loopbank::testing
