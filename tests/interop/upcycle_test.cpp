#include "loopbank/interop/upcycle.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randint.h>
#include <gtest/gtest.h>

#include <ATen/CPUGeneratorImpl.h>

#include <string>
#include <vector>

#include "loopbank/infer/generator.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;

constexpr double kSameLogits = 1e-5;

ModelConfig dense_config() {
  ModelConfig config;
  config.vocab_size = 257;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 4;
  config.max_position_embeddings = 64;
  return config;
}

/// Weights far from their initial values, so that texts are not all alike.
LanguageModel dense_model(const ModelConfig& config, uint64_t seed = 3) {
  LanguageModel model(config);
  model.parameters().initialize(seed);
  const at::NoGradGuard no_grad;
  for (const auto& parameter : model.parameters().all()) {
    parameter.value.mul_(parameter.value.dim() == 2 ? 5.0 : 1.0);
  }
  return model;
}

/// Dense models of every kind of block that is upcycled.
std::vector<std::pair<std::string, ModelConfig>> dense_configs() {
  std::vector<std::pair<std::string, ModelConfig>> configs = {{"as the paper's", dense_config()}};
  const auto add = [&](const std::string& name) -> ModelConfig& {
    return configs.emplace_back(name, dense_config()).second;
  };
  add("grouped keys").num_key_value_heads = 2;
  add("tied embeddings").tie_word_embeddings = true;
  add("scaled by depth").depth_scale = "inverse";
  add("scaled by the root of depth").depth_scale = "inverse_sqrt";
  return configs;
}

/// Ways of adding to a model of three layers.
std::vector<std::pair<std::string, UpcycleOptions>> additions() {
  return {{"loops", {.max_loops = 3}},
          {"one loop", {.max_loops = 1}},
          {"loops in some layers", {.max_loops = {0, 2, 4}}},
          {"local memory", {.max_loops = 2, .local_slots = 5}},
          {"global memory", {.max_loops = 1, .global_slots = 3}},
          {"open gates, more loops",
           {.max_loops = 7,
            .local_slots = 4,
            .global_slots = 2,
            .gate_init = 3.0,
            .router_bias = -3.0}}};
}

at::Tensor random_tokens() {
  auto generator = at::detail::createCPUGenerator(7);
  return at::randint(257, {3, 40}, generator, at::TensorOptions().dtype(at::kLong));
}

TEST(Upcycle, ComputesWhatTheDenseModelDid) {
  const at::NoGradGuard no_grad;
  const auto tokens = random_tokens();
  for (const auto& [kind, config] : dense_configs()) {
    const auto dense = dense_model(config);
    const auto expected = dense.forward(tokens).logits;
    for (const auto& [name, options] : additions()) {
      const auto model = upcycled(dense, options);
      const auto off = (model.forward(tokens).logits - expected).abs().max().item<double>();
      EXPECT_LE(off, kSameLogits) << kind << ", " << name;
    }
  }
}

TEST(Upcycle, WritesTheSameTextUnderEveryPolicyThatKeepsTheFirstLoopsKeys) {
  const auto dense = dense_model(dense_config());
  const auto tokenizer = Tokenizer::bytes();
  GenerateOptions greedy;
  greedy.max_tokens = 24;
  greedy.sampling.temperature = 0.0;
  for (const char* prompt : {"The harbour of Velm", "Twelve and thirty", ""}) {
    const auto expected = Generator(dense, tokenizer).generate(prompt, greedy);
    EXPECT_EQ(expected.tokens.size(), 24U);
    for (const auto& [name, options] : additions()) {
      const auto model = upcycled(dense, options);
      for (const char* policy : {"full", "copy", "recompute", "first"}) {
        auto asked = greedy;
        asked.inference.kv = policy;
        asked.inference.kv_prefill = true;
        EXPECT_EQ(Generator(model, tokenizer).generate(prompt, asked).tokens, expected.tokens)
            << prompt << ", " << name << ", " << policy;
      }
    }
  }
}

TEST(Upcycle, KeepsEveryParameterAndTellsWhichAreNew) {
  const auto dense = dense_model(dense_config());
  const auto model = upcycled(dense, {.max_loops = 3, .local_slots = 4, .global_slots = 2});
  EXPECT_EQ(model.config().loop_scale_kind, "linear");
  for (const auto& parameter : dense.parameters().all()) {
    const auto& taken = model.parameters().get(parameter.name);
    EXPECT_TRUE(taken.value.equal(parameter.value)) << parameter.name;
    EXPECT_EQ(taken.origin, Origin::kTaken) << parameter.name;
    EXPECT_EQ(parameter.origin, Origin::kDrawn) << parameter.name;
  }
  size_t added = 0;
  for (const auto& parameter : model.parameters().all()) {
    added += parameter.origin == Origin::kAdded ? 1 : 0;
  }
  EXPECT_EQ(added, model.parameters().all().size() - dense.parameters().all().size());
  EXPECT_EQ(model.parameters().get("layers.2.memory.keys").origin, Origin::kAdded);
}

TEST(Upcycle, WhatIsNewStartsAsTold) {
  const auto dense = dense_model(dense_config());
  const UpcycleOptions options{.max_loops = 3,
                               .local_slots = 4,
                               .global_slots = 2,
                               .gate_init = 1.5,
                               .router_bias = -2.0,
                               .seed = 11};
  const auto model = upcycled(dense, options);
  const auto value = [&](const char* name) { return model.parameters().get(name).value.detach(); };
  EXPECT_EQ(value("layers.1.router.bias").item<float>(), -2.0F);
  EXPECT_TRUE(value("layers.0.memory.local_gate.bias").eq(1.5).all().item<bool>());
  EXPECT_EQ(value("layers.0.memory.local_projection.weight").abs().max().item<float>(), 0.0F);
  EXPECT_GT(value("memory.values").abs().min().item<float>(), 0.0F);
  EXPECT_TRUE(value("memory.key_norm.weight").eq(1.0).all().item<bool>());
  const auto same = upcycled(dense, options);
  EXPECT_TRUE(same.parameters().get("memory.keys").value.equal(value("memory.keys")));
  auto other = options;
  other.seed = 12;
  EXPECT_FALSE(
      upcycled(dense, other).parameters().get("memory.keys").value.equal(value("memory.keys")));
}

TEST(Upcycle, AModelThatLoopsCanBeGivenMemory) {
  const at::NoGradGuard no_grad;
  auto config = dense_config();
  config.max_loops = 2;
  config.loop_scale_init = 0.5413;
  const auto looped = dense_model(config);
  const auto model = upcycled(looped, {.local_slots = 4, .global_slots = 2, .gate_init = 2.0});
  EXPECT_EQ(model.config().loop_scale_kind, "softplus");
  const auto tokens = random_tokens();
  const auto off =
      (model.forward(tokens).logits - looped.forward(tokens).logits).abs().max().item<double>();
  EXPECT_LE(off, kSameLogits);
}

TEST(Upcycle, RefusesWhatIsThereAlready) {
  auto config = dense_config();
  config.max_loops = 2;
  const auto error = [](const ModelConfig& from, const UpcycleOptions& options) {
    return error_of(ErrorCode::kConfig, [&] { (void)upcycled_config(from, options); });
  };
  expect_contains(
      error(config, {.max_loops = 3}),
      "upcycle: expected a dense model (\"max_loops\" 0) to give loops to, got one with "
      "up to 2.");
  expect_contains(error(dense_config(), {.local_slots = 4, .global_slots = 2}),
                  "upcycle: expected loops with 4 + 2 memory slots (only loops read memory), got "
                  "\"max_loops\" 0.");
  config.local_memory_slots = 8;
  expect_contains(error(config, {.global_slots = 2}),
                  "upcycle: expected a model without memory banks to give 0 + 2 slots to, got one "
                  "with 8 + 0.");
  expect_contains(error(dense_config(), {.max_loops = {1, 2}}),
                  "\"max_loops\" expects one number or a list of 3");
  expect_contains(error(dense_config(), {.max_loops = 65}), "\"max_loops\" expects");
}

TEST(Upcycle, RefusesWeightsThatDoNotFit) {
  auto wider = dense_config();
  wider.intermediate_size = 64;
  LanguageModel model(wider);
  expect_contains(
      error_of(ErrorCode::kCheckpoint, [&] { fill_from(model, dense_model(dense_config()), 1); }),
      "upcycle: expected a place for \"layers.0.block.feed_forward.gate.weight\" [48, 32] in the "
      "new "
      "model, got [64, 32].");
}

}  // namespace
}  // namespace loopbank
