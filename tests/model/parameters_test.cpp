#include "loopbank/model/parameters.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <cmath>

#include "loopbank/model/language_model.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

/// Two adaptive layers with both banks, a little of everything.
ModelConfig small_config() {
  ModelConfig config;
  config.vocab_size = 300;
  config.hidden_size = 64;
  config.intermediate_size = 176;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.max_position_embeddings = 32;
  config.max_loops = 3;
  config.local_memory_slots = 40;
  config.global_memory_slots = 20;
  config.memory_gate_bias_init = -3.0;
  config.first_loop_scale_init = 0.5413;
  return config;
}

const at::Tensor& value(const LanguageModel& model, const std::string& name) {
  return model.parameters().get(name).value;
}

double deviation(const at::Tensor& tensor) {
  return tensor.detach().to(at::kDouble).std(/*unbiased=*/false).item<double>();
}

TEST(Parameters, StartAsTheReferenceSays) {
  LanguageModel model(small_config());
  model.parameters().initialize(1);
  const double residual = 0.02 / std::sqrt(4.0);  // 0.02 / sqrt(2 L)
  const std::vector<std::pair<std::string, double>> deviations = {
      {"embedding.weight", 0.02},
      {"head.weight", 0.02},
      {"layers.0.block.attention.query.weight", 0.02},
      {"layers.1.block.attention.output.weight", residual},
      {"layers.0.block.feed_forward.up.weight", 0.02},
      {"layers.1.block.feed_forward.down.weight", residual},
      {"layers.0.memory.keys", 0.02},
      {"memory.values", 0.02},
      // Xavier uniform: bound sqrt(6 / 128), deviation bound / sqrt 3
      {"layers.0.memory.local_projection.weight", std::sqrt(2.0 / 128)}};
  for (const auto& [name, expected] : deviations) {
    const auto& tensor = value(model, name);
    EXPECT_NEAR(deviation(tensor), expected, 0.05 * expected) << name;
    EXPECT_NEAR(tensor.mean().item<double>(), 0.0,
                5 * expected / std::sqrt(static_cast<double>(tensor.numel())))
        << name;
  }
  EXPECT_LE(value(model, "layers.0.memory.global_projection.weight").abs().max().item<double>(),
            std::sqrt(6.0 / 128));
  for (const auto* zero : {"layers.0.memory.local_gate.weight", "layers.1.router.bias",
                           "memory.query_norm.bias", "layers.0.memory.norm.bias"}) {
    EXPECT_EQ(value(model, zero).abs().max().item<double>(), 0.0) << zero;
  }
  for (const auto* one : {"final_norm.weight", "layers.0.block.attention.key_norm.weight",
                          "memory.key_norm.weight", "layers.1.memory.norm.weight"}) {
    EXPECT_TRUE(value(model, one).eq(1).all().item<bool>()) << one;
  }
  EXPECT_TRUE(value(model, "layers.1.memory.global_gate.bias").eq(-3).all().item<bool>());
  const auto scale = value(model, "layers.1.loop_scale").detach();
  EXPECT_FLOAT_EQ(scale[0].item<float>(), 0.5413F);
  EXPECT_FLOAT_EQ(scale[1].item<float>(), -7.0F);
  EXPECT_FLOAT_EQ(scale[2].item<float>(), -7.0F);
}

// sigmoid(-3) = 0.047: few tokens stop at once.
TEST(Parameters, TheRouterBiasStartsWhereTheConfigSays) {
  auto config = small_config();
  config.router_bias_init = -3.0;
  LanguageModel model(config);
  model.parameters().initialize(1);
  EXPECT_EQ(value(model, "layers.0.router.bias").item<double>(), -3.0);
  EXPECT_EQ(value(model, "layers.1.router.bias").item<double>(), -3.0);
  EXPECT_EQ(value(model, "layers.0.memory.local_gate.bias").max().item<double>(), -3.0);
  EXPECT_EQ(value(model, "memory.query_norm.bias").abs().max().item<double>(), 0.0);
}

TEST(Parameters, NormalValuesHaveTheTailsOfANormalDistribution) {
  LanguageModel model(small_config());
  model.parameters().initialize(5);
  const auto x = value(model, "embedding.weight").detach() / 0.02;  // 19200 values
  const auto share = [&](double bound) {
    return x.abs().gt(bound).to(at::kDouble).mean().item<double>();
  };
  EXPECT_NEAR(share(1.0), 0.3173, 0.01);
  EXPECT_NEAR(share(2.0), 0.0455, 0.005);
  EXPECT_LT(x.abs().max().item<double>(), 6.0);
}

TEST(Parameters, TheSeedAloneDecidesTheValues) {
  LanguageModel first(small_config());
  LanguageModel second(small_config());
  first.parameters().initialize(7);
  const int threads = at::get_num_threads();
  at::set_num_threads(3);
  second.parameters().initialize(7);
  at::set_num_threads(threads);
  for (const auto& parameter : first.parameters().all()) {
    EXPECT_TRUE(parameter.value.equal(value(second, parameter.name))) << parameter.name;
  }
  second.parameters().initialize(8);
  EXPECT_FALSE(value(first, "embedding.weight").equal(value(second, "embedding.weight")));
}

TEST(Parameters, AnotherPartLeavesTheValuesOfTheOthersAsTheyWere) {
  auto without = small_config();
  without.local_memory_slots = 0;
  without.global_memory_slots = 0;
  without.memory_gate_bias_init = 0.0;
  LanguageModel with_memory(small_config());
  LanguageModel plain(without);
  with_memory.parameters().initialize(3);
  plain.parameters().initialize(3);
  for (const auto& parameter : plain.parameters().all()) {
    EXPECT_TRUE(parameter.value.equal(value(with_memory, parameter.name))) << parameter.name;
  }
}

TEST(Parameters, WeightDecayIsForLinearWeightsAlone) {
  LanguageModel model(small_config());
  for (const auto& parameter : model.parameters().all()) {
    const auto& name = parameter.name;
    const bool linear = name.ends_with(".weight") && name.find("norm") == std::string::npos &&
                        name != "embedding.weight";
    EXPECT_EQ(parameter.decays(), linear) << name;
  }
}

TEST(Parameters, AnUnknownNameIsRefused) {
  LanguageModel model(small_config());
  try {
    (void)model.parameters().get("layers.0.memory.slots");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCheckpoint);
    EXPECT_NE(std::string(error.what()).find("\"layers.0.memory.slots\""), std::string::npos);
  }
}

}  // namespace
}  // namespace loopbank
