#include "loopbank/infer/decode_speed.h"

#include <gtest/gtest.h>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

LanguageModel model_to_time(bool tied) {
  ModelConfig config;
  config.vocab_size = 64;
  config.hidden_size = 32;
  config.intermediate_size = 64;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.max_position_embeddings = 64;
  config.max_loops = 3;
  config.tie_word_embeddings = tied;
  LanguageModel model(config);
  model.parameters().initialize(1);
  return model;
}

TEST(DecodeSpeed, AStepReadsAllWeightsButTheRowsThatItDoesNotLookUp) {
  // 2 layers of 4 x 32 x 32 and 3 x 32 x 64, a router's [1, 33], a head of 64 x 32.
  constexpr double kMatrices = 2 * (4 * 32 * 32 + 3 * 32 * 64 + 33) + 64 * 32;
  const auto model = model_to_time(false);
  const auto difference =
      decoded_weight_bytes(model, at::kFloat) - decoded_weight_bytes(model, at::kBFloat16);
  EXPECT_EQ(difference, 2 * kMatrices);
  EXPECT_EQ(decoded_weight_bytes(model_to_time(true), at::kFloat),
            decoded_weight_bytes(model, at::kFloat));  // the head is the embedding
}

TEST(DecodeSpeed, LoopsAndBytesAreThoseOfTheRuleAndPolicy) {
  const auto model = model_to_time(false);
  DecodeSettings settings{.prompt_tokens = 8, .tokens = 12, .batch = 3};
  const auto all = measure_decoding(model, settings);
  EXPECT_GT(all.tokens_per_second, 0.0);
  EXPECT_GT(all.first_token_seconds, 0.0);
  EXPECT_EQ(all.mean_loops, 3.0);
  EXPECT_EQ(all.kv_bytes_per_token, 2 * 3 * 2 * 32 * 4);
  EXPECT_EQ(all.key_value_bytes, (8 + 6) * 2 * 3 * 2 * 32 * 4);
  settings.inference.exit = ExitChoice::parse("budget:2");
  EXPECT_EQ(measure_decoding(model, settings).mean_loops, 2.0);
  settings.inference.policy = &key_value_policy("last");
  const auto last = measure_decoding(model, settings);
  EXPECT_EQ(last.kv_bytes_per_token, 2 * 2 * 32 * 4);
  EXPECT_EQ(last.bytes_per_token(2), last.weight_bytes / 2 + last.key_value_bytes);
  settings.tokens = 1;
  EXPECT_THROW((void)measure_decoding(model, settings), Error);
}

}  // namespace
}  // namespace loopbank
