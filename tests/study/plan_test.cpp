#include "loopbank/study/plan.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using testing::TestDirectory;

fs::path write_config(const std::string& name, const std::string& text) {
  static const TestDirectory directory;
  return directory.write(name, text);
}

constexpr const char* kModel = R"([model]
vocab_size = 100
hidden_size = 32
intermediate_size = 64
num_hidden_layers = 2
num_attention_heads = 2
max_position_embeddings = 48
)";

constexpr const char* kRest = R"([data]
train = "train.tokens"
tokenizer = "bytes"
[training]
steps = 10
batch = 6
micro_batch = 2
sequence_length = 16
)";

TEST(Plan, AModelAloneIsPlannedAtItsLongestSequence) {
  const auto config = load_plan_config(write_config("model.toml", kModel), {});
  EXPECT_FALSE(describes_a_run(config));
  const auto plan = make_plan(config);
  EXPECT_EQ(plan.sequence_length, 48);
  EXPECT_EQ(plan.steps, 0);
  EXPECT_EQ(plan.tokens, 0.0);
  EXPECT_EQ(describe(plan, 0).find("steps"), std::string::npos);
}

TEST(Plan, ARunCountsItsTokensAndFlops) {
  const auto path = write_config("run.toml", std::string(kModel) + kRest);
  const auto plan = make_plan(load_plan_config(path, {"training.steps=20"}));
  EXPECT_EQ(plan.steps, 20);
  EXPECT_EQ(plan.tokens, 20.0 * 6 * 16);
  EXPECT_EQ(plan.training_flops, plan.tokens * plan.cost.training_flops);
  EXPECT_NE(describe(plan, 1e9).find("time"), std::string::npos);
  EXPECT_EQ(describe(plan, 0).find("time"), std::string::npos);
}

TEST(Plan, MemoryIsThatOfOneMicroBatch) {
  const auto path = write_config("run.toml", std::string(kModel) + kRest);
  const auto activations = [&](const std::string& rows) {
    const auto json = to_json(make_plan(
        load_plan_config(path, {"training.micro_batch=" + rows, "training.sequence_length=512",
                                "model.max_position_embeddings=512"})));
    return json["memory_bytes"]["activations"].get<double>();
  };
  EXPECT_GT(activations("1"), 0.0);
  EXPECT_EQ(activations("2"), 2 * activations("1"));
  EXPECT_EQ(activations("0"), 6 * activations("1"));
}

TEST(Plan, AModelsFolderIsPlannedToo) {
  const auto config = load_plan_config(write_config("model.toml", kModel), {});
  const auto path = write_config("config.json", to_json(config.model).dump());
  for (const auto& source : {path, path.parent_path()}) {
    EXPECT_EQ(load_plan_config(source, {}).model, config.model);
  }
  EXPECT_THROW((void)load_plan_config(path, {"model.max_loops=3"}), Error);
}

TEST(Plan, JsonCarriesTheKeysThatScriptsRead) {
  const auto json = to_json(make_plan(load_plan_config(write_config("model.toml", kModel), {})));
  const auto& parameters = json.at("parameters");
  double sum = 0.0;
  for (const auto& [part, value] : parameters.items()) {
    sum += part == "total" ? 0.0 : value.get<double>();
  }
  EXPECT_EQ(parameters.at("total").get<double>(), sum);
  EXPECT_EQ(json.at("flops_per_token").at("training").get<double>(),
            3 * json.at("flops_per_token").at("forward").get<double>());
  for (const char* key : {"memory_bytes", "steps", "tokens", "training_flops"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
}

TEST(Plan, KeysAndValuesOfATokenAreCountedByPolicy) {
  const auto path = write_config("looped.toml", std::string(kModel) + "max_loops = [3, 0]\n");
  const auto json = to_json(make_plan(load_plan_config(path, {})));
  // Layer 0 holds three slots, layer 1 one; 2 x 2 heads x 16 values of 2 bytes in each.
  for (const char* policy : {"full", "recompute", "copy"}) {
    EXPECT_EQ(json.at("kv_bytes_per_token").at(policy), 4 * 2 * 32 * 2.0) << policy;
  }
  for (const char* policy : {"last", "first", "mixture"}) {
    EXPECT_EQ(json.at("kv_bytes_per_token").at(policy), 2 * 2 * 32 * 2.0) << policy;
  }
}

TEST(Plan, MistakesAreRefused) {
  EXPECT_THROW((void)load_plan_config(write_config("bad.toml", "[model]\nmax_loop = 3\n"), {}),
               Error);
  EXPECT_THROW((void)load_plan_config("no/such/file.toml", {}), Error);
  EXPECT_THROW((void)load_plan_config(write_config("model.toml", kModel), {"model.hidden_size=31"}),
               Error);
}

}  // namespace
}  // namespace loopbank
