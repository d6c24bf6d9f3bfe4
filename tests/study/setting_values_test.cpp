/// What every setting takes: the edges are accepted and what lies just beyond is refused, in a TOML
/// file, by --set and in JSON.

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "../support/test_directory.h"
#include "loopbank/study/study_config.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;

/// Values in the form that TOML and JSON share.
struct Edges {
  std::string section;
  std::string key;
  std::vector<std::string> accepted;
  std::vector<std::string> refused;
};

const std::vector<Edges> kEdges = {
    {"model", "vocab_size", {"1", "2147483647"}, {"0", "2147483648"}},
    {"model", "hidden_size", {"2", "1048576"}, {"1", "1048577"}},
    {"model", "intermediate_size", {"1", "1048576"}, {"0", "1048577"}},
    {"model", "num_hidden_layers", {"1", "4096"}, {"0", "4097"}},
    {"model", "num_attention_heads", {"1", "1048576"}, {"0", "1048577"}},
    {"model", "num_key_value_heads", {"0", "1048576"}, {"-1", "1048577"}},
    {"model", "max_position_embeddings", {"1", "16777216"}, {"0", "16777217"}},
    {"model", "rope_theta", {"1.0000001", "1e300"}, {"1.0", "-1.0"}},
    {"model", "rms_norm_eps", {"1e-300", "0.9999999"}, {"0.0", "1.0"}},
    {"model", "head_dim", {"0", "1048576"}, {"-1", "1048577"}},
    {"model", "qk_norm", {"\"none\"", "\"before\"", "\"after\""}, {"\"both\"", "\"\""}},
    {"model", "hidden_act", {"\"silu\""}, {"\"gelu\"", "\"\""}},
    {"model", "loop_scale_kind", {"\"softplus\"", "\"linear\""}, {"\"none\"", "\"\""}},
    {"model.rope_scaling",
     "rope_type",
     {"\"default\"", "\"linear\"", "\"llama3\"", "\"yarn\""},
     {"\"longrope\"", "\"\""}},
    {"model.rope_scaling", "factor", {"1.0", "1e6"}, {"0.9999999", "1000000.1"}},
    {"model.rope_scaling", "low_freq_factor", {"1e-300"}, {"0.0"}},
    {"model.rope_scaling", "high_freq_factor", {"1e-300"}, {"0.0"}},
    {"model.rope_scaling",
     "original_max_position_embeddings",
     {"0", "1073741824"},
     {"-1", "1073741825"}},
    {"model.rope_scaling", "beta_fast", {"1e-300"}, {"0.0"}},
    {"model.rope_scaling", "beta_slow", {"1e-300"}, {"0.0"}},
    {"model.rope_scaling", "attention_factor", {"1e-300"}, {"0.0"}},
    {"model", "max_loops", {"0", "64", "[0, 64]"}, {"-1", "65", "[0, 65]", "[-1, 3]"}},
    {"model", "quantization_bits", {"0"}, {"-1", "9"}},  // of a model that is trained 0 alone
    {"model", "ponder_weight", {"0.0", "1e9"}, {"-1e-300"}},
    {"model", "depth_scale", {"\"none\"", "\"inverse\"", "\"inverse_sqrt\""}, {"\"\"", "\"no\""}},
    {"model", "local_memory_slots", {"0", "16777216"}, {"-1", "16777217"}},
    {"model", "global_memory_slots", {"0", "16777216"}, {"-1", "16777217"}},
    {"data", "train_weights", {"[]", "[1e-300, 5]"}, {"[0]", "[1, -1.0]"}},
    {"data", "benchmark", {"\"\"", "\"demo\"", "\"small\""}, {"\"paper\""}},
    {"training", "seed", {"0", "9223372036854775807"}, {"-1"}},
    {"training", "steps", {"1", "1000000000"}, {"-1", "1000000001"}},
    {"training", "batch", {"1", "1000000000"}, {"-1", "1000000001"}},
    {"training", "micro_batch", {"0", "1000000000"}, {"-1", "1000000001"}},
    {"training", "sequence_length", {"1", "1000000000"}, {"-1", "1000000001"}},
    {"training", "precision", {"\"fp32\"", "\"bf16\""}, {"\"fp16\"", "\"\""}},
    {"training", "recompute", {"\"none\"", "\"loop\"", "\"layer\""}, {"\"loops\"", "\"\""}},
    {"training", "validate_every", {"0", "1000000000"}, {"-1", "1000000001"}},
    {"training", "validation_rows", {"1", "1000000000"}, {"0", "1000000001"}},
    {"training", "checkpoint_every", {"0", "1000000000"}, {"-1", "1000000001"}},
    {"training", "keep_checkpoints", {"1", "1000000000"}, {"0", "1000000001"}},
    {"training",
     "device",
     {"\"auto\"", "\"cpu\"", "\"cuda\"", "\"cuda:7\""},
     {"\"gpu\"", "\"\"", "\"cuda:\"", "\"cuda:-1\"", "\"cuda:1x\"", "\"cuda:1000\""}},
    {"training", "ponder_warmup_fraction", {"0.0", "1.0"}, {"-1e-300", "1.0000001"}},
    {"training", "halting_alarm_steps", {"0", "1000000000"}, {"-1", "1000000001"}},
    {"training", "alarm_validations", {"0", "1000000000"}, {"-1", "1000000001"}},
    {"training", "rank_timeout", {"1.0", "86400.0"}, {"0.999", "86400.1"}},
    {"optimizer", "beta1", {"0.0", "0.9999999"}, {"-1e-300", "1.0"}},
    {"optimizer", "beta2", {"0.0", "0.9999999"}, {"-1e-300", "1.0"}},
    {"optimizer", "eps", {"1e-300"}, {"0.0", "-1e-8"}},
    {"optimizer", "weight_decay", {"0.0"}, {"-1e-300"}},
    {"optimizer", "clip_norm", {"0.0"}, {"-1e-300"}},
    {"optimizer", "loop_scale_multiplier", {"0.0"}, {"-1e-300"}},
    {"optimizer", "memory_multiplier", {"0.0"}, {"-1e-300"}},
    {"optimizer", "router_multiplier", {"0.0"}, {"-1e-300"}},
    {"optimizer", "memory_gate_multiplier", {"0.0"}, {"-1e-300"}},
    {"optimizer", "init_multiplier", {"0.0"}, {"-1e-300"}},
    {"optimizer", "new_multiplier", {"0.0"}, {"-1e-300"}},
    {"data", "bin_dtype", {"\"auto\"", "\"uint16\"", "\"uint32\""}, {"\"int8\"", "\"\""}},
    {"schedule", "name", {"\"one_cycle\"", "\"warmup_stable_decay\""}, {"\"cosine\"", "\"\""}},
    {"schedule", "initial_rate", {"0.0"}, {"-1e-300"}},
    {"schedule", "peak_rate", {"1e-300"}, {"0.0"}},
    {"schedule", "final_rate", {"0.0"}, {"-1e-300"}},
    {"schedule", "warmup_fraction", {"0.0", "1.0"}, {"-1e-300", "1.0000001"}},
    {"schedule", "decay_fraction", {"0.0", "1.0"}, {"-1e-300", "1.0000001"}},
    {"evaluation", "every", {"0", "1000000000"}, {"-1", "1000000001"}},
    {"evaluation", "limit", {"0", "1000000000"}, {"-1", "1000000001"}},
    {"evaluation", "shots", {"-1", "1000000000"}, {"-2", "1000000001"}},
    {"evaluation", "max_loops", {"0", "64", "[0, 64]"}, {"-1", "65", "[1, 65]"}},
    {"study", "seeds", {"0", "[0, 7]"}, {"-1", "[0, -1]"}},
    {"study", "local_slots", {"1"}, {"0"}},
    {"study", "global_slots", {"1"}, {"0"}},
    {"study", "width_step", {"1"}, {"0"}},
    {"study", "score_points", {"0", "1000"}, {"-1", "1001"}},
    {"study", "score_point_instances", {"1"}, {"0"}},
    {"benchmark", "people", {"8", "1000"}, {"7", "1000000000"}},
    {"benchmark", "places", {"8", "1000"}, {"7", "1000000000"}},
    {"benchmark", "values", {"4", "24"}, {"3", "25"}},
    {"benchmark", "wordings", {"1", "8"}, {"0", "9"}},
    {"benchmark", "asked_share", {"1e-9", "0.9999999"}, {"0.0", "1.0"}},
    {"benchmark", "question_share", {"1e-9", "0.9999999"}, {"0.0", "1.0"}},
    {"benchmark", "held_out_share", {"0.01", "0.5"}, {"0.0099", "0.5001"}},
    {"benchmark", "instances", {"1"}, {"0"}},
    {"synthetic", "instances", {"1"}, {"0"}},
    {"synthetic", "held_out_share", {"0.01", "0.5"}, {"0.0099", "0.5001"}},
    {"synthetic", "training_bytes", {"1"}, {"0"}},
    {"synthetic", "validation_bytes", {"1"}, {"0"}},
    {"synthetic", "problems", {"1", "64"}, {"0", "65"}},
    {"synthetic", "symbols", {"3", "26"}, {"2", "27"}},
    {"synthetic", "length", {"4", "1024"}, {"3", "1025"}},
    {"synthetic", "modulus", {"2", "36"}, {"1", "37"}},
    {"synthetic", "distractors", {"0", "20"}, {"-1", "21"}},
    {"benchmark", "facts_share", {"1e-9", "0.9999999"}, {"0.0", "1.0"}},
    {"benchmark", "training_bytes", {"1"}, {"0"}},
    {"benchmark", "validation_bytes", {"1"}, {"0"}},
    {"synthetic", "people", {"16", "30000", "[16, 30000]"}, {"15", "30001", "[16, 15]"}},
    {"synthetic", "tellings", {"1", "1000"}, {"0", "1001"}},
    {"text", "limit", {"0"}, {"-1"}},
    {"text", "shots", {"0"}, {"-1"}},
    {"system.own", "group", {"\"grid\"", "\"ponder\"", "\"own\""}, {"\"other\"", "\"\""}},
    {"system.own", "by", {"\"parameters\"", "\"flops\"", "\"time\""}, {"\"size\"", "\"\""}},
    {"system.own", "seeds", {"[0]"}, {"[-1]"}},
};

StudyConfig fresh_config() {
  StudyConfig config;
  config.systems.emplace_back().name = "own";
  return config;
}

bool takes_everything(const Field& field) {
  const AllowedValues everything;
  return field.allowed.low == everything.low && field.allowed.high == everything.high &&
         field.allowed.choices.empty();
}

void read_file_value(const Edges& edges, const std::string& value) {
  auto config = fresh_config();
  read_toml_text("[" + edges.section + "]\n" + edges.key + " = " + value + "\n", "here.toml", {},
                 config.sections());
}

void read_override(const Edges& edges, const std::string& value) {
  auto config = fresh_config();
  read_toml_text("", "here.toml", {edges.section + "." + edges.key + "=" + value},
                 config.sections());
}

void read_json_value(const Edges& edges, const std::string& value) {
  auto config = fresh_config();
  for (const auto& section : config.sections()) {
    if (section.name == edges.section) {
      read_json({{edges.key, nlohmann::json::parse(value)}}, section.fields, "config.json");
    }
  }
}

TEST(SettingValues, TheEdgesAreAcceptedHoweverTheyAreGiven) {
  for (const auto& edges : kEdges) {
    for (const auto& value : edges.accepted) {
      SCOPED_TRACE(edges.section + "." + edges.key + " = " + value);
      EXPECT_NO_THROW(read_file_value(edges, value));
      EXPECT_NO_THROW(read_override(edges, value));
      EXPECT_NO_THROW(read_json_value(edges, value));
    }
  }
}

TEST(SettingValues, WhatLiesBeyondIsRefusedAtItsPlaceHoweverItIsGiven) {
  for (const auto& edges : kEdges) {
    const auto expects = ": \"" + edges.key + "\" expects ";
    for (const auto& value : edges.refused) {
      SCOPED_TRACE(edges.section + "." + edges.key + " = " + value);
      expect_contains(error_of(ErrorCode::kConfig, [&] { read_file_value(edges, value); }),
                      "here.toml:2" + expects);
      expect_contains(error_of(ErrorCode::kConfig, [&] { read_override(edges, value); }),
                      "--set " + edges.section + "." + edges.key + "=" + value + expects);
      expect_contains(error_of(ErrorCode::kConfig, [&] { read_json_value(edges, value); }),
                      "config.json" + expects);
    }
  }
}

TEST(SettingValues, EverySettingWithLimitsIsTriedAbove) {
  std::set<std::string> tried;
  for (const auto& edges : kEdges) {
    tried.insert(edges.section + "." + edges.key);
  }
  std::set<std::string> declared;
  auto config = fresh_config();
  for (const auto& section : config.sections()) {
    for (const auto& field : section.fields) {
      if (!takes_everything(field)) {
        declared.insert(section.name + "." + field.name);
      }
    }
  }
  EXPECT_EQ(declared, tried);
}

TEST(SettingValues, DefaultsAreAcceptedButForWhatMustBeSet) {
  std::set<std::string> required;
  auto config = fresh_config();
  for (const auto& section : config.sections()) {
    for (const auto& field : section.fields) {
      if (field.is_required) {
        required.insert(section.name + "." + field.name);
        expect_contains(error_of(ErrorCode::kConfig, [&] { check_field(field, section.name); }),
                        section.name + ": \"" + field.name +
                            "\" expects a whole number from 1 to 1000000000, got 0. It has no "
                            "default: set it.");
      } else {
        EXPECT_NO_THROW(check_field(field, section.name)) << field.name;
      }
    }
  }
  EXPECT_EQ(required, (std::set<std::string>{"training.batch", "training.sequence_length",
                                             "training.steps"}));
}

TEST(SettingValues, AValueThatIsReplacedNeedNotBeAllowed) {
  auto config = fresh_config();
  read_toml_text("base = \"base\"\n[model]\nhidden_size = 64\n", "here.toml",
                 {"training.batch=3", "training.precision=fp32"}, config.sections(),
                 {{"base",
                   "[model]\nhidden_size = 0\n[training]\nbatch = -1\n"
                   "precision = \"fp8\"\n"}});
  EXPECT_EQ(config.run.model.hidden_size, 64);
  EXPECT_EQ(config.run.training.batch, 3);
  EXPECT_EQ(config.run.training.precision, "fp32");
  expect_contains(
      error_of(ErrorCode::kConfig,
               [&] {
                 read_toml_text("base = \"base\"\n[model]\nhidden_size = 64\n", "here.toml", {},
                                config.sections(), {{"base", "[model]\nvocab_size = 0\n"}});
               }),
      "base:2: \"vocab_size\" expects a whole number from 1 to 2147483647, got 0. Nearest: 1.");
}

TEST(SettingValues, SeedsAreDifferent) {
  const testing::TestDirectory directory;
  expect_contains(error_of(ErrorCode::kConfig,
                           [&] {
                             (void)load_study_config(
                                 directory.write("own.toml", "[study]\nseeds = [3, 4, 3]\n"));
                           }),
                  "own.toml:2: \"seeds\" expects different whole numbers, got 3, 4, 3.");
}

}  // namespace
}  // namespace loopbank
