#pragma once
/// A small model with loops, which tests change where they need something else.

#include "loopbank/model/config.h"

namespace loopbank {

/// Two layers of `num_loops` loops each, 97 words, at most 24 tokens; 0: dense.
inline ModelConfig looped_config(int64_t num_loops) {
  ModelConfig config;
  config.vocab_size = 97;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.max_position_embeddings = 24;
  config.max_loops = num_loops;
  return config;
}

}  // namespace loopbank
