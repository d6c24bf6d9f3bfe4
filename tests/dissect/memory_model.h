#pragma once
/// A model whose reads are known by hand: the letters a, b, c, d each read one slot of the local
/// bank, and its value names the letter behind.

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>

#include <cstdint>
#include <string>
#include <vector>

#include "loopbank/model/language_model.h"
#include "loopbank/tokenize/tokenizer.h"
#include "tests/eval/bigram_model.h"

namespace loopbank::testing {

constexpr int64_t kLetters = 4;  // a to d read slots 0 to 3
constexpr int64_t kUnread = 4;   // a slot that nothing reads
constexpr int64_t kSlots = 5;
constexpr int64_t kLetterWidth = 16;

/// Row i of a Hadamard matrix: rows but the first have mean 0, norm sqrt(16), and are orthogonal.
inline at::Tensor hadamard_row(int64_t i) {
  auto row = at::empty({kLetterWidth});
  for (int64_t j = 0; j < kLetterWidth; ++j) {
    row[j] = __builtin_parityll(static_cast<uint64_t>(i & j)) != 0 ? -1.0 : 1.0;
  }
  return row;
}

/// The blocks add nothing; letter i has row i + 1 as its embedding and its head, slot i has it as
/// its key and the row of the next letter (after d: a) as its value, ten times.
/// @param gate_bias  50: all that is read is added; -50: nothing
inline LanguageModel letter_model(double gate_bias, int64_t loops = 1) {
  const at::NoGradGuard no_grad;
  ModelConfig config;
  config.vocab_size = kByteVocabulary;
  config.hidden_size = kLetterWidth;
  config.intermediate_size = 2;
  config.num_hidden_layers = 1;
  config.num_attention_heads = 1;
  config.max_position_embeddings = 16;
  config.max_loops = loops;
  config.local_memory_slots = kSlots;
  config.memory_gate_bias_init = gate_bias;
  LanguageModel model(config);
  model.parameters().initialize(/*seed=*/1);
  const auto get = [&](const std::string& name) { return model.parameters().get(name).value; };
  for (const char* name :
       {"embedding.weight", "head.weight", "layers.0.block.attention.output.weight",
        "layers.0.block.feed_forward.down.weight"}) {
    get(name).zero_();
  }
  get("memory.key_norm.weight").fill_(5.0);  // scores of 5 x 4: one slot takes all
  get("layers.0.memory.local_projection.weight").copy_(at::eye(kLetterWidth));
  for (int64_t i = 0; i < kSlots; ++i) {
    get("layers.0.memory.keys")[i].copy_(hadamard_row(i + 1));
    get("layers.0.memory.values")[i].copy_(10.0 *
                                           hadamard_row(i < kLetters ? (i + 1) % kLetters + 1 : 9));
  }
  for (int64_t i = 0; i < kLetters; ++i) {
    get("embedding.weight")['a' + i].copy_(hadamard_row(i + 1));
    get("head.weight")['a' + i].copy_(hadamard_row(i + 1));
  }
  return model;
}

/// Byte ids of a text.
inline std::vector<TokenId> ids_of(const std::string& text) {
  return {text.begin(), text.end()};
}

}  // namespace loopbank::testing
