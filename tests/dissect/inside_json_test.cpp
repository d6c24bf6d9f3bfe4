/// The JSON of the inner life holds the keys of docs/formats.md and no others.

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/dissect/inside.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;
using Keys = std::vector<std::string>;

Keys keys_of(const Json& json) {
  Keys keys;
  for (const auto& [key, value] : json.items()) {
    keys.push_back(key);
  }
  return keys;
}

/// Whether a null stands anywhere.
bool holds_null(const Json& json) {
  for (const auto& value : json.flatten()) {
    if (value.is_null()) {
      return true;
    }
  }
  return false;
}

Json measured_json(int64_t loops, int64_t local_slots, int64_t global_slots) {
  ModelConfig config;
  config.vocab_size = 257;
  config.hidden_size = 16;
  config.intermediate_size = 24;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.max_position_embeddings = 16;
  config.max_loops = loops;
  config.local_memory_slots = local_slots;
  config.global_memory_slots = global_slots;
  LanguageModel model(config);
  model.parameters().initialize(/*seed=*/2);
  const auto ids = at::arange(60, 77);
  return to_json(measure_inside(model, Tokenizer::bytes(),
                                {.tokens = ids.narrow(0, 0, 16).view({1, 16}),
                                 .targets = ids.narrow(0, 1, 16).view({1, 16})}));
}

TEST(InsideJson, AModelWithLoopsAndMemoryHasAllKeys) {
  const auto json = measured_json(3, 4, 2);
  EXPECT_EQ(keys_of(json),
            (Keys{"tokens", "layers", "loops", "expected_loops", "expected_loops_spread", "halting",
                  "loop_scale", "state_norm", "state_change", "local_gate", "global_gate",
                  "token_classes", "bpb_by_loops", "token_view"}));
  EXPECT_EQ(keys_of(json["local_gate"]), (Keys{"mean", "spread"}));
  EXPECT_EQ(
      keys_of(json["token_classes"][0]),
      (Keys{"name", "tokens", "share", "loss", "expected_loops", "local_gate", "global_gate"}));
  EXPECT_EQ(keys_of(json["bpb_by_loops"][0]),
            (Keys{"max_loops", "loss", "bpb", "flops_per_token"}));
  EXPECT_EQ(keys_of(json["token_view"]), (Keys{"tokens"}));
  EXPECT_EQ(keys_of(json["token_view"]["tokens"][0]),
            (Keys{"text", "loss", "expected_loops", "local_gate", "global_gate"}));
  EXPECT_FALSE(holds_null(json));
}

TEST(InsideJson, ShapesAreLayersByLoops) {
  const auto json = measured_json(3, 4, 2);
  EXPECT_EQ(json["tokens"], 16);
  EXPECT_EQ(json["layers"], 2);
  EXPECT_EQ(json["loops"], 3);
  EXPECT_EQ(json["expected_loops"].size(), 2U);
  for (const auto* key : {"halting", "loop_scale", "state_change"}) {
    EXPECT_EQ(json[key].size(), 2U) << key;
    EXPECT_EQ(json[key][1].size(), 3U) << key;
  }
  EXPECT_EQ(json["state_norm"][1].size(), 4U);
  EXPECT_EQ(json["global_gate"]["spread"][1].size(), 3U);
  EXPECT_EQ(json["bpb_by_loops"].size(), 3U);
  EXPECT_EQ(json["bpb_by_loops"][2]["max_loops"], 3);
  EXPECT_EQ(json["token_view"]["tokens"][0]["expected_loops"].size(), 2U);
  EXPECT_EQ(json["token_view"]["tokens"][0]["text"], "=");  // behind <
}

TEST(InsideJson, WhatWasNotMeasuredIsAbsent) {
  const auto loops = measured_json(2, 0, 0);
  EXPECT_TRUE(loops.contains("loop_scale"));
  EXPECT_FALSE(loops.contains("local_gate"));
  EXPECT_EQ(keys_of(loops["token_classes"][0]),
            (Keys{"name", "tokens", "share", "loss", "expected_loops"}));
  EXPECT_EQ(keys_of(loops["token_view"]["tokens"][0]), (Keys{"text", "loss", "expected_loops"}));
  const auto global = measured_json(2, 0, 3);
  EXPECT_FALSE(global.contains("local_gate"));
  EXPECT_TRUE(global.contains("global_gate"));
  const auto dense = measured_json(0, 0, 0);
  EXPECT_FALSE(dense.contains("loop_scale"));
  EXPECT_EQ(dense["loops"], 1);
  EXPECT_EQ(dense["halting"].dump(), "[[1.0],[1.0]]");
  EXPECT_FALSE(holds_null(dense));
}

TEST(InsideJson, FiguresOfTheViewHaveFourDecimals) {
  Inside inside;
  inside.token_view = {{.text = "a",
                        .loss = 1.23456789,
                        .expected_loops = {2.00004, 1.99996},
                        .local_gate = {},
                        .global_gate = {0.123456}}};
  EXPECT_EQ(to_json(inside)["token_view"]["tokens"].dump(),
            R"([{"text":"a","loss":1.2346,"expected_loops":[2.0,2.0],"global_gate":[0.1235]}])");
}

}  // namespace
}  // namespace loopbank
