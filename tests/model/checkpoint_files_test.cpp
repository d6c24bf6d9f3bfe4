#include "loopbank/model/checkpoint_files.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "loopbank/model/weights.h"
#include "loopbank/support/files.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

TEST(CheckpointFiles, AModelInShardsIsTheModelInOneFile) {
  const TestDirectory directory;
  ModelConfig config;
  config.vocab_size = 31;
  config.hidden_size = 16;
  config.intermediate_size = 24;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.max_loops = 2;
  LanguageModel model(config);
  model.parameters().initialize(3);
  save_config(config, directory.path() / "config.json");
  NamedTensors shards[2];
  nlohmann::json map;
  for (const auto& parameter : model.parameters().all()) {
    auto& shard = shards[parameter.name.starts_with("layers.1") ? 1 : 0];
    shard.emplace_back(parameter.name, parameter.value);
    map[parameter.name] = &shard == shards ? "a.safetensors" : "b.safetensors";
  }
  write_safetensors(directory.path() / "a.safetensors", shards[0]);
  write_safetensors(directory.path() / "b.safetensors", shards[1]);
  write_file_atomically(directory.path() / "model.safetensors.index.json",
                        nlohmann::json({{"weight_map", map}}).dump());
  const auto loaded = load_model(directory.path());
  ASSERT_EQ(loaded.parameters().all().size(), model.parameters().all().size());
  for (const auto& parameter : model.parameters().all()) {
    EXPECT_TRUE(loaded.parameters().get(parameter.name).value.equal(parameter.value))
        << parameter.name;
  }
}

TEST(CheckpointFiles, OneFileGoesBeforeAnIndex) {
  const TestDirectory directory;
  write_safetensors(directory.path() / "model.safetensors", {{"one", at::ones({2})}});
  write_file_atomically(directory.path() / "model.safetensors.index.json", "{}");
  const auto files = map_checkpoint(directory.path());
  ASSERT_EQ(files.files.size(), 1U);
  ASSERT_EQ(files.tensors.size(), 1U);
  EXPECT_EQ(files.tensors.front().first, "one");
}

}  // namespace
}  // namespace loopbank::testing
