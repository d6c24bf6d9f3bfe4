/// How adaptive layers start: how often they loop, and what their loops do.

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/randint.h>
#include <gtest/gtest.h>

#include "loopbank/model/language_model.h"
#include "looped_config.h"

namespace loopbank {
namespace {

LanguageModel fresh(const ModelConfig& config) {
  LanguageModel model(config);
  model.parameters().initialize(1);
  return model;
}

at::Tensor random_tokens() {
  return at::randint(97, {4, 24}, at::detail::createCPUGenerator(3), at::kLong);
}

// With p = sigmoid(b) after every loop, n = sum_{t<N} (1 - p)^t: 1.984 and 6.078.
TEST(FreshModel, TheRouterBiasDecidesTheMeanLoops) {
  for (const auto& [bias, expected] : {std::pair{0.0, 1.98}, std::pair{-3.0, 6.08}}) {
    auto config = looped_config(7);
    config.router_bias_init = bias;
    const auto loops = fresh(config).forward(random_tokens()).expected_loops;  // [L, B, T]
    EXPECT_NEAR(loops.mean().item<double>(), expected, 0.02) << "bias " << bias;
  }
}

// softplus(0.5413) = 1: the first loop is a dense layer's. The second, of scale softplus(-7) =
// 0.0009, changes little, whatever share of the tokens takes it.
TEST(FreshModel, AFirstLoopOfScaleOneComputesADenseLayer) {
  const auto dense = fresh(looped_config(0)).forward(random_tokens()).logits;
  auto config = looped_config(2);
  const auto closed = fresh(config).forward(random_tokens()).logits;
  config.first_loop_scale_init = 0.5413;
  const auto open = fresh(config).forward(random_tokens()).logits;
  const auto distance = [&](const at::Tensor& logits) {
    return ((logits - dense).norm() / dense.norm()).item<double>();
  };
  EXPECT_LT(distance(open), 5e-3);
  EXPECT_GT(distance(closed), 5e-2) << "without it both loops start at a scale of 0.0009";
}

}  // namespace
}  // namespace loopbank
