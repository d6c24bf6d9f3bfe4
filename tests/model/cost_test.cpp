#include "loopbank/model/cost.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

constexpr int64_t kPaperSequence = 4096;

ModelConfig paper(int64_t layers, int64_t width, int64_t loops, bool memory) {
  ModelConfig config;  // V 50304, D 768, H 12 are the defaults
  config.num_hidden_layers = layers;
  config.intermediate_size = width;
  config.max_loops = loops;
  config.local_memory_slots = memory ? 1024 : 0;
  config.global_memory_slots = memory ? 512 : 0;
  return config;
}

double millions(const ModelConfig& config) {
  return model_cost(config, kPaperSequence).parameters.total() / 1e6;
}

std::map<std::string, double> by_name(const CostByPart& cost) {
  return {cost.parts.begin(), cost.parts.end()};
}

TEST(ModelCost, ParametersOfThePapersTableComeOut) {
  EXPECT_NEAR(millions(paper(12, 2048, 0, false)), 162.2, 0.05);
  EXPECT_NEAR(millions(paper(12, 2048, 3, false)), 162.2, 0.05);
  EXPECT_NEAR(millions(paper(12, 2048, 5, false)), 162.2, 0.05);
  EXPECT_NEAR(millions(paper(12, 2048, 7, false)), 162.2, 0.05);
  EXPECT_NEAR(millions(paper(36, 2048, 0, false)), 332.1, 0.05);
  EXPECT_NEAR(millions(paper(12, 3840, 0, false)), 211.0, 1.0);
  EXPECT_NEAR(millions(paper(12, 2048, 3, true)), 210.2, 0.05);
  EXPECT_NEAR(millions(paper(36, 3840, 0, false)), 481.0, 1.0);
}

TEST(ModelCost, ADenseLayerIsCountedTermByTerm) {
  ModelConfig config;
  config.vocab_size = 10;
  config.hidden_size = 8;
  config.intermediate_size = 6;
  config.num_hidden_layers = 1;
  config.num_attention_heads = 2;
  config.num_key_value_heads = 1;
  const auto cost = model_cost(config, 3);
  const auto parameters = by_name(cost.parameters);
  EXPECT_EQ(parameters.at("embedding"), 80);
  EXPECT_EQ(parameters.at("attention"), 64 + 64 + 2 * 8 * 4);  // query, output; narrow key, value
  EXPECT_EQ(parameters.at("feed_forward"), 3 * 8 * 6);
  EXPECT_EQ(parameters.at("norms"), 8 + 8 + 4 + 4 + 8);
  EXPECT_EQ(parameters.at("head"), 80);
  const auto flops = by_name(cost.forward_flops);
  EXPECT_EQ(flops.at("attention_projections"), 2 * (64 + 64 + 2 * 8 * 4));
  EXPECT_EQ(flops.at("attention_scores"), 2 * 2 * 8 * 2);  // q k^T and the mix over 2 of 3 tokens
  EXPECT_EQ(flops.at("feed_forward"), 2 * 3 * 8 * 6);
  EXPECT_EQ(flops.at("head"), 2 * 80);
  EXPECT_EQ(flops.at("router") + flops.at("memory_read"), 0);
  EXPECT_EQ(cost.training_flops, 3 * cost.forward_flops.total());
}

TEST(ModelCost, BiasesAndHeadsOfTheirOwnWidthAreCounted) {
  ModelConfig config;
  config.vocab_size = 10;
  config.hidden_size = 8;
  config.intermediate_size = 6;
  config.num_hidden_layers = 1;
  config.num_attention_heads = 2;
  config.num_key_value_heads = 1;
  config.head_dim = 6;
  config.attention_bias = true;
  config.attention_output_bias = true;
  config.qk_norm = "none";
  const auto cost = model_cost(config, 3);
  const auto parameters = by_name(cost.parameters);
  // Query and output of 2 x 6, key and value of 6; biases of the three, and of the output.
  EXPECT_EQ(parameters.at("attention"), 2 * 8 * 12 + 2 * 8 * 6 + (12 + 6 + 6) + 8);
  EXPECT_EQ(parameters.at("norms"), 8 + 8 + 8);
  const auto flops = by_name(cost.forward_flops);
  EXPECT_EQ(flops.at("attention_projections"), 2 * (2 * 8 * 12 + 2 * 8 * 6));
  EXPECT_EQ(flops.at("attention_scores"), 2 * 2 * 12 * 2);
}

TEST(ModelCost, LoopsMultiplyTheBlocksAndNotTheHead) {
  const auto once = by_name(model_cost(paper(12, 2048, 1, true), 128).forward_flops);
  const auto thrice = by_name(model_cost(paper(12, 2048, 3, true), 128).forward_flops);
  for (const auto& [part, flops] : once) {
    EXPECT_EQ(thrice.at(part), flops * (part == "head" ? 1 : 3)) << part;
  }
}

TEST(ModelCost, ALoopListSumsOverTheLayers) {
  auto config = paper(3, 2048, 0, true);
  config.max_loops = {0, 1, 4};
  const auto cost = model_cost(config, 128);
  const auto flops = by_name(cost.forward_flops);
  const auto one_pass = by_name(model_cost(paper(1, 2048, 1, true), 128).forward_flops);
  EXPECT_EQ(flops.at("feed_forward"), 6 * one_pass.at("feed_forward"));
  EXPECT_EQ(flops.at("memory_read"), 5 * one_pass.at("memory_read"));
  EXPECT_EQ(by_name(cost.parameters).at("loop_scale"), 5);
  EXPECT_EQ(by_name(cost.parameters).at("router"), 2 * (768 + 2));
}

TEST(ModelCost, TheHeadCostsFlopsEvenWhereItsWeightIsTied) {
  auto config = paper(2, 2048, 0, false);
  const auto untied = model_cost(config, 128);
  config.tie_word_embeddings = true;
  const auto tied = model_cost(config, 128);
  EXPECT_EQ(untied.parameters.total() - tied.parameters.total(), 50304.0 * 768);
  EXPECT_EQ(untied.forward_flops.total(), tied.forward_flops.total());
}

TEST(ModelCost, ABadConfigIsRefused) {
  auto config = paper(12, 2048, 0, false);
  config.num_attention_heads = 7;
  EXPECT_THROW((void)model_cost(config, 128), Error);
}

TEST(ForwardFlops, ABudgetIsTheModelWithFewerLoops) {
  const auto config = paper(12, 2048, 3, true);
  for (const int64_t loops : {1, 2, 3}) {
    EXPECT_EQ(forward_flops(config, 128, loops),
              model_cost(paper(12, 2048, loops, true), 128).forward_flops.total());
  }
  EXPECT_EQ(forward_flops(config, 128, 0), forward_flops(config, 128, 3));
  EXPECT_EQ(forward_flops(config, 128, 5), forward_flops(config, 128, 3));
  auto mixed = paper(3, 2048, 0, false);
  mixed.max_loops = {0, 1, 4};
  auto limited = mixed;
  limited.max_loops = {0, 1, 2};
  EXPECT_EQ(forward_flops(mixed, 128, 2), model_cost(limited, 128).forward_flops.total());
}

TEST(ForwardFlops, ExpectedLoopsCostTheirShare) {
  const auto config = paper(12, 2048, 3, true);
  const double once = forward_flops(config, 128, 1);
  const double thrice = forward_flops(config, 128, 3);
  EXPECT_EQ(expected_forward_flops(config, 128, 1.0), once);
  EXPECT_NEAR(expected_forward_flops(config, 128, 3.0), thrice, 1e-9 * thrice);
  EXPECT_NEAR(expected_forward_flops(config, 128, 2.5), once + 0.75 * (thrice - once), 1e-3);
  // Loops 0 (dense), 1 and 4: at most a mean of 2 over the layers.
  auto mixed = paper(3, 2048, 0, false);
  mixed.max_loops = {0, 1, 4};
  EXPECT_NEAR(expected_forward_flops(mixed, 128, 2.0), forward_flops(mixed, 128, 0), 1e-3);
  const auto dense = paper(2, 2048, 0, false);
  EXPECT_EQ(expected_forward_flops(dense, 128, 1.0), forward_flops(dense, 128, 0));
}

TEST(CostByPart, JsonHoldsTheTotalAndEveryPart) {
  const auto json = to_json(CostByPart{{{"a", 1.0}, {"b", 2.5}}});
  EXPECT_EQ(json.dump(), R"({"total":3.5,"a":1.0,"b":2.5})");
}

}  // namespace
}  // namespace loopbank
