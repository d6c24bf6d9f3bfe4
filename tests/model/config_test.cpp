#include "loopbank/model/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using testing::TestDirectory;

fs::path fresh_folder(const std::string& name) {
  static const TestDirectory directory;
  const auto path = directory.path() / name;
  fs::remove_all(path);
  fs::create_directories(path);
  return path;
}

/// The text of the error that the settings end in; empty where they are accepted.
template <typename Change>
std::string error_after(const Change& change) {
  ModelConfig config;
  change(config);
  try {
    config.validate();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kConfig);
    return error.what();
  }
  return "";
}

void expect_contains_all(const std::string& text, const std::vector<std::string>& parts) {
  for (const auto& part : parts) {
    EXPECT_NE(text.find(part), std::string::npos) << "\"" << part << "\" is not in: " << text;
  }
}

ModelConfig load_text(const std::string& text) {
  const auto folder = fresh_folder("config");
  write_file_atomically(folder / "config.json", text);
  return load_config(folder / "config.json");
}

std::string load_error(const std::string& text) {
  try {
    (void)load_text(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kConfig);
    return error.what();
  }
  return "";
}

TEST(ModelConfig, KeyValueHeadsDefaultToTheAttentionHeads) {
  ModelConfig config;
  config.validate();
  EXPECT_EQ(config.num_key_value_heads, 12);
  EXPECT_EQ(config.head_size(), 64);
}

TEST(ModelConfig, LoopsOfALayerFollowTheNumberOrTheList) {
  ModelConfig config;
  config.max_loops = 3;
  EXPECT_EQ(config.loops(0), 3);
  EXPECT_EQ(config.loops(11), 3);
  config.num_hidden_layers = 3;
  config.max_loops = {0, 5, 2};
  config.validate();
  EXPECT_EQ(config.loops(0), 0);
  EXPECT_EQ(config.loops(1), 5);
  EXPECT_EQ(config.most_loops(), 5);
}

TEST(ModelConfig, ALoopBudgetIsANumberOfLoopsOrZeroForTheModelsOwn) {
  ModelConfig config;
  config.num_hidden_layers = 3;
  config.max_loops = {0, 5, 2};
  EXPECT_EQ(config.budget_loops(0, "here"), 5);
  EXPECT_EQ(config.budget_loops(1, "here"), 1);
  EXPECT_EQ(config.budget_loops(5, "here"), 5);
  for (const int64_t budget : {-1, 6}) {
    EXPECT_EQ(
        testing::error_of(ErrorCode::kConfig, [&] { (void)config.budget_loops(budget, "here"); }),
        "here: \"max_loops\" expects a loop budget from 1 to 5, or 0 for each layer's own N, "
        "got " +
            std::to_string(budget) + ".");
  }
  config.max_loops = 0;
  EXPECT_EQ(config.budget_loops(0, "here"), 1);
  EXPECT_EQ(config.budget_loops(1, "here"), 1);
}

TEST(IntOrList, IsWrittenAsANumberOrAsAList) {
  EXPECT_FALSE(IntOrList().is_list);
  EXPECT_EQ(IntOrList().values, std::vector<int64_t>{0});
  IntOrList loops = 3;
  EXPECT_FALSE(loops.is_list);
  EXPECT_EQ(loops.values, std::vector<int64_t>{3});
  loops = {1, 2, 3};
  EXPECT_TRUE(loops.is_list);
  EXPECT_EQ(loops.values, (std::vector<int64_t>{1, 2, 3}));
  loops = {3};
  EXPECT_TRUE(loops.is_list);
  EXPECT_NE(loops, IntOrList(3));
}

TEST(ModelConfig, MemoryCountsOnlyWhereALayerLoops) {
  ModelConfig config;
  config.local_memory_slots = 8;
  EXPECT_FALSE(config.has_memory());
  config.max_loops = 1;
  EXPECT_TRUE(config.has_memory());
  EXPECT_FALSE(config.has_global_memory());
  config.global_memory_slots = 4;
  EXPECT_TRUE(config.has_global_memory());
}

TEST(ModelConfig, ErrorsNameKeyValueAndNearestOption) {
  expect_contains_all(error_after([](auto& c) { c.num_attention_heads = 11; }),
                      {"num_attention_heads", "768", "got 11", "Nearest: 12"});
  expect_contains_all(error_after([](auto& c) { c.num_key_value_heads = 5; }),
                      {"num_key_value_heads", "12", "got 5", "Nearest: 4"});
  expect_contains_all(error_after([](auto& c) { c.hidden_size = 0; }), {"hidden_size", "got 0"});
  expect_contains_all(error_after([](auto& c) { c.vocab_size = int64_t{1} << 40; }),
                      {"vocab_size", "got 1099511627776"});
  expect_contains_all(error_after([](auto& c) { c.max_loops = -1; }),
                      {"max_loops", "0 to 64", "got -1", "Nearest: 0"});
  expect_contains_all(error_after([](auto& c) {
                        c.max_loops = {3, 3};
                      }),
                      {"max_loops", "list of 12", "list of 2"});
  expect_contains_all(error_after([](auto& c) { c.depth_scale = "invers"; }),
                      {"depth_scale", "\"invers\"", "Did you mean \"inverse\"?"});
  expect_contains_all(error_after([](auto& c) { c.rope_theta = 0.0; }), {"rope_theta", "got 0"});
  expect_contains_all(error_after([](auto& c) { c.rms_norm_eps = -1e-5; }),
                      {"rms_norm_eps", "-1e-05"});
  expect_contains_all(error_after([](auto& c) { c.ponder_weight = -1.0; }),
                      {"ponder_weight", "got -1"});
  expect_contains_all(error_after([](auto& c) { c.router_bias_init = std::nan(""); }),
                      {"router_bias_init", "finite", "got nan"});
}

TEST(ModelConfig, SettingsWithoutEffectAreRefused) {
  expect_contains_all(error_after([](auto& c) { c.local_memory_slots = 4; }),
                      {"local_memory_slots", "got 4 and 0", "max_loops"});
  expect_contains_all(error_after([](auto& c) {
                        c.max_loops = 3;
                        c.depth_scale = "inverse";
                      }),
                      {"depth_scale", "inverse"});
}

TEST(ModelConfig, HeadsOfOddWidthAreRefusedBecauseRotaryTurnsPairs) {
  expect_contains_all(error_after([](auto& c) {
                        c.hidden_size = 12;
                        c.num_attention_heads = 4;
                      }),
                      {"num_attention_heads", "even", "got 4", "Nearest: 3"});
}

TEST(ModelConfig, ConfigJsonReturnsWhatWasSaved) {
  ModelConfig config;
  config.num_hidden_layers = 3;
  config.max_loops = {1, 2, 3};
  config.first_loop_scale_init = 0.5413;
  config.router_bias_init = -3.0;
  config.local_memory_slots = 7;
  config.memory_gate_bias_init = -3.0;
  config.tie_word_embeddings = true;
  config.num_key_value_heads = 4;
  config.validate();
  const auto folder = fresh_folder("config-round");
  save_config(config, folder / "config.json");
  EXPECT_EQ(load_config(folder / "config.json"), config);
}

TEST(ModelConfig, ConfigJsonCarriesEveryNameOfTheReference) {
  const ModelConfig config;
  const auto json = to_json(config);
  for (const char* key : {"model_type",          "vocab_size",
                          "hidden_size",         "intermediate_size",
                          "num_hidden_layers",   "num_attention_heads",
                          "num_key_value_heads", "max_position_embeddings",
                          "rope_theta",          "rms_norm_eps",
                          "tie_word_embeddings", "max_loops",
                          "loop_scale_init",     "first_loop_scale_init",
                          "router_bias_init",    "ponder_weight",
                          "depth_scale",         "local_memory_slots",
                          "global_memory_slots", "memory_gate_bias_init",
                          "quantization_bits"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_EQ(json.size(), 21U);
  EXPECT_EQ(json["model_type"], "loopbank");
  EXPECT_EQ(json["num_key_value_heads"], 12);
  EXPECT_TRUE(json["first_loop_scale_init"].is_null());
  EXPECT_EQ(json["router_bias_init"], 0.0);
}

TEST(ModelConfig, AConfigJsonFromBeforeAKeyExistedHasItsDefault) {
  ModelConfig config;
  config.max_loops = 7;
  config.validate();
  auto json = to_json(config);
  ASSERT_EQ(json.erase("router_bias_init"), 1U);
  const auto path = fresh_folder("config-old") / "config.json";
  write_file_atomically(path, json.dump());
  EXPECT_EQ(load_config(path), config);
}

TEST(ModelConfig, BitsOfStoredWeightsAreEightFourOrNone) {
  for (const int64_t bits : {0, 4, 8}) {
    ModelConfig config;
    config.quantization_bits = bits;
    EXPECT_NO_THROW(config.validate());
  }
  expect_contains_all(load_error(R"({"model_type": "loopbank", "quantization_bits": 5})"),
                      {"config.json", "\"quantization_bits\" expects 0, 4 or 8, got 5."});
}

TEST(ModelConfig, ConfigJsonWithAMistakeNamesTheFileAndTheKey) {
  expect_contains_all(load_error(R"({"model_type": "loopbank", "max_loop": 3})"),
                      {"config.json", "max_loop", "Did you mean \"max_loops\"?"});
  expect_contains_all(load_error(R"({"model_type": "llama"})"),
                      {"config.json", "llama", "loopbank"});
  expect_contains_all(load_error(R"({"hidden_size": 64})"), {"model_type", "null"});
  expect_contains_all(load_error(R"({"model_type": "loopbank", "hidden_size": "big"})"),
                      {"hidden_size", "\"big\""});
  expect_contains_all(load_error(R"({"model_type": "loopbank", "hidden_size": 10})"),
                      {"config.json", "num_attention_heads", "10"});
  expect_contains_all(load_error("{"), {"config.json", "JSON"});
  expect_contains_all(load_error("[1]"), {"config.json", "model_type"});
  expect_contains_all(load_error(R"({"model_type": )" + std::string(300'000, '[')),
                      {"config.json", "nests at most 128 levels"});
  expect_contains_all(load_error(R"({"model_type": "loopbank", "rope_theta": 1e999})"),
                      {"config.json", "1e999"});
}

TEST(ModelConfig, HeadsMayHaveAWidthOfTheirOwn) {
  ModelConfig config;
  config.head_dim = 128;
  config.num_attention_heads = 7;  // need not split 768 then
  config.validate();
  EXPECT_EQ(config.head_size(), 128);
  EXPECT_EQ(to_json(config)["head_dim"], 128);
  expect_contains_all(error_after([](auto& c) { c.head_dim = 7; }),
                      {"\"head_dim\" expects an even width", "got 7. Nearest: 8."});
  // The width that the other two give is no width of its own.
  ModelConfig same;
  same.head_dim = 64;
  same.validate();
  ModelConfig plain;
  plain.validate();
  EXPECT_EQ(same, plain);
}

TEST(ModelConfig, KeysOfImportedModelsStandInConfigJsonWhereTheyAreSet) {
  ModelConfig config;
  config.qk_norm = "before";
  config.attention_bias = true;
  config.attention_output_bias = true;
  config.head_dim = 32;
  config.max_loops = 3;
  config.loop_scale_kind = "linear";
  config.loop_scale_init = 0.0;
  config.first_loop_scale_init = 1.0;
  config.validate();
  const auto json = to_json(config);
  EXPECT_EQ(json["qk_norm"], "before");
  EXPECT_EQ(json["attention_bias"], true);
  EXPECT_EQ(json["attention_output_bias"], true);
  EXPECT_EQ(json["head_dim"], 32);
  EXPECT_EQ(json["loop_scale_kind"], "linear");
  EXPECT_FALSE(json.contains("hidden_act"));
  EXPECT_EQ(config_from_json(nlohmann::json::parse(json.dump()), "here"), config);
  expect_contains_all(load_error(R"({"model_type": "loopbank", "qk_norm": "both"})"),
                      {"config.json", "qk_norm", "\"both\""});
  expect_contains_all(load_error(R"({"model_type": "loopbank", "hidden_act": "gelu"})"),
                      {"hidden_act", "\"silu\"", "\"gelu\""});
}

TEST(ModelConfig, ALinearScaleIsTheFactorItself) {
  expect_contains_all(error_after([](auto& c) {
                        c.max_loops = 3;
                        c.loop_scale_kind = "linear";
                      }),
                      {"\"loop_scale_init\" expects a scale from -2 to 2", "got -7", "Set 1"});
  EXPECT_EQ(error_after([](auto& c) {
              c.max_loops = 3;
              c.loop_scale_kind = "linear";
              c.loop_scale_init = 0.0;
              c.first_loop_scale_init = 1.0;
            }),
            "");
}

TEST(ModelConfig, WhatTransformersAddsWhenItSavesIsPassedOver) {
  const auto config = load_text(
      R"({"model_type": "loopbank", "auto_map": {"AutoConfig": "x.Config"}, "bos_token_id": 1,
          "eos_token_id": [2, 3], "pad_token_id": null, "use_cache": true, "dtype": "float32",
          "initializer_range": 0.02, "transformers_version": "5.0.0", "hidden_size": 24,
          "num_attention_heads": 2})");
  EXPECT_EQ(config.hidden_size, 24);
}

TEST(ModelConfig, KeysThatHuggingFaceToolsAddAreAccepted) {
  const auto config = load_text(
      R"({"model_type": "loopbank", "architectures": ["Loopbank"], "torch_dtype": "bfloat16",
          "transformers_version": "4.40.0", "hidden_size": 24, "num_attention_heads": 2})");
  EXPECT_EQ(config.hidden_size, 24);
}

}  // namespace
}  // namespace loopbank
