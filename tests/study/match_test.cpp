#include "loopbank/study/match.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "../support/test_directory.h"
#include "loopbank/model/cost.h"

namespace loopbank {
namespace {

ModelConfig paper_loop(int64_t loops) {
  ModelConfig config;  // V 50304, D 768, H 12, F 2048, L 12 are the defaults
  config.max_loops = loops;
  return config;
}

ModelConfig paper_memory() {
  auto config = paper_loop(3);
  config.local_memory_slots = 1024;
  config.global_memory_slots = 512;
  config.memory_gate_bias_init = 3.0;
  return config;
}

ModelConfig tiny_memory() {
  ModelConfig config;
  config.vocab_size = 300;
  config.hidden_size = 32;
  config.num_attention_heads = 2;
  config.intermediate_size = 48;
  config.num_hidden_layers = 3;
  config.max_loops = 4;
  config.local_memory_slots = 16;
  config.global_memory_slots = 8;
  return config;
}

std::string match_error(const ModelConfig& config, const MatchOptions& options) {
  return testing::error_of(ErrorCode::kConfig, [&] { (void)match_baseline(config, options); });
}

TEST(MatchBaseline, LoopNIsNTimesAsDeepByFlops) {
  for (const int64_t loops : {3, 5, 7}) {
    const auto baseline = match_baseline(paper_loop(loops), {.by = MatchBy::kFlops});
    EXPECT_EQ(baseline.model.num_hidden_layers, 12 * loops);
    EXPECT_EQ(baseline.model.intermediate_size, 2048);
    EXPECT_LT(std::abs(baseline.forward_flops.residual()), 1e-3);
  }
}

TEST(MatchBaseline, LoopsCostNoWidth) {
  for (const int64_t step : {64, 256}) {
    const auto baseline = match_baseline(paper_loop(3), {.step = step});
    EXPECT_EQ(baseline.model.intermediate_size, 2048);
    EXPECT_EQ(baseline.model.num_hidden_layers, 12);
    EXPECT_LT(std::abs(baseline.parameters.residual()), 1e-4);
  }
}

TEST(MatchBaseline, MemoryBecomesThePapersWidth) {
  const auto baseline = match_baseline(paper_memory(), {});
  EXPECT_EQ(baseline.model.intermediate_size, 3840);
  EXPECT_EQ(baseline.model.num_hidden_layers, 12);
  EXPECT_NEAR(baseline.parameters.target / 1e6, 210.2, 0.05);
  EXPECT_NEAR(baseline.parameters.matched / 1e6, 211.8, 0.05);
  EXPECT_NEAR(baseline.parameters.residual(), 0.0075, 0.0005);
}

TEST(MatchBaseline, AFinerStepComesNearer) {
  const auto baseline = match_baseline(paper_memory(), {.step = 64});
  EXPECT_EQ(baseline.model.intermediate_size, 3776);
  EXPECT_LT(std::abs(baseline.parameters.residual()),
            match_baseline(paper_memory(), {}).parameters.residual());
}

TEST(MatchBaseline, MemoryByFlopsIsThatWidthAndThreeTimesTheDepth) {
  const auto baseline = match_baseline(paper_memory(), {.by = MatchBy::kFlops});
  EXPECT_EQ(baseline.model.intermediate_size, 3840);
  EXPECT_EQ(baseline.model.num_hidden_layers, 36);
  EXPECT_NEAR(baseline.parameters.matched / 1e6, 481, 1.0);
  EXPECT_EQ(baseline.forward_flops.target, model_cost(paper_memory(), 4096).forward_flops.total());
}

TEST(MatchBaseline, NoOtherWidthOfTheStepIsNearer) {
  const MatchOptions options{.step = 8};
  const auto baseline = match_baseline(tiny_memory(), options);
  EXPECT_EQ((baseline.model.intermediate_size - 48) % 8, 0);
  const double distance = std::abs(baseline.parameters.matched - baseline.parameters.target);
  for (const int64_t change : {-8, 8}) {
    auto other = baseline.model;
    other.intermediate_size += change;
    const double count = model_cost(other, 1).parameters.total();
    EXPECT_GE(std::abs(count - baseline.parameters.target), distance);
  }
}

TEST(MatchBaseline, LoopListsAreMatchedByTheirSum) {
  auto config = paper_loop(3);
  config.num_hidden_layers = 4;
  config.max_loops = {1, 2, 3, 4};
  const auto baseline = match_baseline(config, {.by = MatchBy::kFlops});
  EXPECT_EQ(baseline.model.num_hidden_layers, 10);
}

TEST(MatchBaseline, TheBaselineKeepsNothingOfLoopsAndMemory) {
  auto config = tiny_memory();
  config.first_loop_scale_init = 0.5413;
  config.router_bias_init = -3.0;
  config.ponder_weight = 0.1;
  config.memory_gate_bias_init = 3.0;
  config.tie_word_embeddings = true;
  const auto dense = match_baseline(config, {.step = 8}).model;
  EXPECT_EQ(dense.most_loops(), 0);
  EXPECT_FALSE(dense.has_memory());
  EXPECT_FALSE(dense.first_loop_scale_init.has_value());
  EXPECT_EQ(dense.router_bias_init, 0.0);
  EXPECT_EQ(dense.ponder_weight, 0.0);
  EXPECT_EQ(dense.memory_gate_bias_init, 0.0);
  EXPECT_TRUE(dense.tie_word_embeddings);
  EXPECT_EQ(dense.vocab_size, 300);
}

TEST(MatchBaseline, WhatCannotBeMatchedIsRefused) {
  const ModelConfig dense;
  EXPECT_NE(match_error(dense, {}).find("got a dense one"), std::string::npos);
  EXPECT_NE(match_error(tiny_memory(), {.step = 0}).find("step of 1 or more, got 0"),
            std::string::npos);
  EXPECT_NE(match_error(tiny_memory(), {.sequence_length = -1}).find("got -1"), std::string::npos);
}

TEST(MatchBaseline, ResidualsAreReported) {
  const auto json = residuals_to_json(match_baseline(paper_memory(), {}));
  EXPECT_GT(json["parameters"]["residual"].get<double>(), 0.0);
  EXPECT_EQ(json["parameters"]["target"].get<double>(),
            model_cost(paper_memory(), 1).parameters.total());
  EXPECT_TRUE(json["forward_flops"].contains("matched"));
}

}  // namespace
}  // namespace loopbank
