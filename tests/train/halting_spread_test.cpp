#include "loopbank/train/halting_spread.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "loopbank/train/validation.h"
#include "small_run.h"

namespace loopbank {
namespace {

double sum_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

/// Layers of 0, 3 and 1 loops; the second one's tokens are given.
ModelConfig three_layers() {
  ModelConfig config;
  config.num_hidden_layers = 3;
  config.max_loops = {0, 3, 1};
  return config;
}

TEST(HaltingSpread, CountsTokensByLoopsAndSumsWhatStops) {
  HaltingSpread spread(three_layers());
  EXPECT_EQ(spread.width(), 4U + 30U + 3U);
  EXPECT_TRUE(spread.histograms().empty());
  Recorder recorder;
  recorder.reset(3);
  // Two tokens: one stops after loop 1 or 3, one after loop 2 for sure.
  recorder.halting[1] = at::tensor({0.75F, 0.0F, 0.0F, 1.0F, 0.25F, 0.0F}).view({3, 1, 2});
  const auto loops = at::tensor({1.0F, 1.0F, 1.5F, 2.0F, 1.0F, 1.0F}).view({3, 1, 2});
  spread.add(spread.measure(loops, recorder));
  const auto once = spread.histograms();
  ASSERT_EQ(once.size(), 2U);
  EXPECT_EQ(once[0].tag, "halting_expected_loops/layer_1");
  EXPECT_EQ(once[0].low, 1.5);
  EXPECT_EQ(once[0].high, 2.0);
  EXPECT_EQ(once[0].count, 2.0);
  EXPECT_EQ(once[0].sum, 3.5);
  EXPECT_EQ(once[0].sum_of_squares, 6.25);
  ASSERT_EQ(once[0].limits.size(), 30U);
  EXPECT_EQ(once[0].limits.back(), 3.0);
  EXPECT_EQ(once[0].buckets[7], 1.0);   // up to 1 + 8 * 2 / 30 = 1.533
  EXPECT_EQ(once[0].buckets[14], 1.0);  // up to 2
  EXPECT_EQ(sum_of(once[0].buckets), 2.0);
  EXPECT_EQ(once[1].tag, "halting_stops/layer_1");
  EXPECT_EQ(once[1].buckets, (std::vector<double>{0.75, 1.0, 0.25}));
  EXPECT_EQ(once[1].limits, (std::vector<double>{1.5, 2.5, 3.5}));
  EXPECT_EQ(once[1].sum, 0.75 + 2.0 + 0.75);
  // Another pass with loops at both ends.
  spread.add(
      spread.measure(at::tensor({1.0F, 1.0F, 1.0F, 3.0F, 1.0F, 1.0F}).view({3, 1, 2}), recorder));
  const auto twice = spread.histograms();
  EXPECT_EQ(twice[0].low, 1.0);
  EXPECT_EQ(twice[0].high, 3.0);
  EXPECT_EQ(twice[0].count, 4.0);
  EXPECT_EQ(twice[0].buckets.front(), 1.0);
  EXPECT_EQ(twice[0].buckets.back(), 1.0);
  EXPECT_EQ(twice[1].buckets, (std::vector<double>{1.5, 2.0, 0.5}));
}

TEST(HaltingSpread, OfAValidationCountsItsTokensAndHasItsMeans) {
  const testing::TestDirectory directory;
  auto run = testing::small_run(directory);
  run.model.max_loops = {3, 0};
  LanguageModel model(run.model);
  model.parameters().initialize(/*seed=*/3);
  const auto file = std::make_shared<const TokenFile>(run.data.validation);
  const Validator validator(file, Tokenizer::bytes(), run.training);
  const auto metrics = validator.validate(model, 1, {});
  const auto tokens = static_cast<double>(validator.num_rows() * run.training.sequence_length);
  ASSERT_EQ(metrics.halting.size(), 2U);
  const auto& loops = metrics.halting[0];
  EXPECT_EQ(loops.count, tokens);
  EXPECT_NEAR(loops.sum / tokens, metrics.loops_by_layer[0], 1e-5);
  EXPECT_GE(loops.low, 1.0);
  EXPECT_LT(loops.low, loops.high);
  const auto& stops = metrics.halting[1];
  EXPECT_NEAR(stops.count, tokens, 1e-3);  // P_t of a token sum to 1
  EXPECT_NEAR(stops.sum, loops.sum, 1e-3 * loops.sum);
  ASSERT_EQ(metrics.loop_scales.size(), 2U);
  ASSERT_EQ(metrics.loop_scales[0].size(), 3U);
  EXPECT_TRUE(metrics.loop_scales[1].empty());
  for (const auto scale : metrics.loop_scales[0]) {
    EXPECT_NEAR(scale, std::log1p(std::exp(run.model.loop_scale_init)), 1e-9);
  }
}

}  // namespace
}  // namespace loopbank
