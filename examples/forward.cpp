/// The library in twenty lines: a looped model with memory banks, its logits and its loops.

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "loopbank/model/language_model.h"

int main() {
  loopbank::ModelConfig config;
  config.vocab_size = 257;  // the byte tokenizer's
  config.hidden_size = 64;
  config.intermediate_size = 176;
  config.num_hidden_layers = 4;
  config.num_attention_heads = 4;
  config.max_loops = 3;
  config.local_memory_slots = 32;
  config.global_memory_slots = 16;

  loopbank::LanguageModel model(config);
  model.parameters().initialize(/*seed=*/0);
  const auto tokens = at::arange(16).view({1, 16});  // [B, T]
  const auto out = model.forward(tokens);            // logits [B, T, V], expected_loops [L, B, T]
  fmt::print("logits {}, loops per token {:.3f}\n", out.logits.sizes(),
             out.expected_loops.mean().item<float>());
}
