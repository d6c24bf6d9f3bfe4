#include "loopbank/ops/halting.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/meshgrid.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>

#include "gradient_check.h"

namespace loopbank::ops {
namespace {

using testing::expect_close;
using testing::expect_error;
using testing::expect_gradients_match;
using testing::kDtypes;
using testing::kSizes;
using testing::RandomTensors;
using testing::values_of;
using testing::with_gaps;

std::vector<at::Tensor> random_loops(RandomTensors& random, int64_t num_loops,
                                     at::IntArrayRef shape, at::ScalarType dtype) {
  std::vector<at::Tensor> loops;
  for (int64_t t = 0; t < num_loops; ++t) {
    loops.push_back(random.normal(shape, dtype));
  }
  return loops;
}

/// Probabilities as plain products of p and 1 - p = 1 / (1 + e^logit), [N, B, T] in row-major order.
std::vector<double> probabilities_by_hand(const std::vector<at::Tensor>& logits) {
  std::vector<double> remaining(static_cast<size_t>(logits.front().numel()), 1.0);
  std::vector<double> probabilities;
  for (size_t t = 0; t < logits.size(); ++t) {
    const auto logit = values_of(logits[t]);
    const bool last = t + 1 == logits.size();
    for (size_t i = 0; i < remaining.size(); ++i) {
      const double stop = last ? 1.0 : 1.0 / (1.0 + std::exp(-logit[i]));
      probabilities.push_back(remaining[i] * stop);
      remaining[i] *= 1.0 / (1.0 + std::exp(logit[i]));
    }
  }
  return probabilities;
}

TEST(HaltingDistribution, IsTheFormulaInEveryDtypeAndSize) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    for (const int64_t num_loops : {1, 2, 3, 7}) {
      for (const auto steps : kSizes) {
        auto logits = random_loops(random, num_loops, {2, steps}, dtype);
        const auto probabilities = halting_distribution(logits);
        EXPECT_EQ(probabilities.scalar_type(), accumulation_type(dtype));
        EXPECT_EQ(probabilities.sizes(), at::IntArrayRef({num_loops, 2, steps}));
        const double tolerance = kHaltingDistributionTolerance.of(dtype);
        expect_close(probabilities, probabilities_by_hand(logits), tolerance);
        const auto expected = probabilities_by_hand(logits);
        for (auto& logit : logits) {
          logit = with_gaps(logit);
        }
        expect_close(halting_distribution(logits), expected, tolerance);
      }
    }
  }
}

TEST(HaltingDistribution, SumsToOneWithExtremeLogits) {
  for (const auto dtype : kDtypes) {
    // Every order of five extremes over three loops, the fourth takes the rest.
    const auto extremes = at::tensor({-1000.0, -100.0, 0.0, 100.0, 1000.0}).to(dtype);
    const auto grid = at::meshgrid({extremes, extremes, extremes}, "ij");
    std::vector<at::Tensor> logits;
    for (const auto& axis : grid) {
      logits.push_back(axis.reshape({1, -1}).clone().requires_grad_(true));
    }
    logits.push_back(at::zeros({1, 125}, dtype));
    const auto probabilities = halting_distribution(logits);
    EXPECT_TRUE(probabilities.ge(0).logical_and(probabilities.le(1)).all().item<bool>());
    const double tolerance = kHaltingDistributionTolerance.of(dtype);
    expect_close(probabilities.sum(0), at::ones({1, 125}, at::kDouble), tolerance);
    expect_close(probabilities, probabilities_by_hand(logits), tolerance);
    probabilities.select(0, 0).sum().backward();
    EXPECT_TRUE(logits[0].grad().isfinite().all().item<bool>());
  }
}

TEST(HaltingDistribution, TheLastLoopTakesTheRemainder) {
  const auto never = at::full({1, 2}, -1000.0);
  const auto always = at::full({1, 2}, 1000.0);
  EXPECT_TRUE(
      halting_distribution({never, never, never})
          .equal(at::tensor({0.0, 0.0, 0.0, 0.0, 1.0, 1.0}).to(at::kFloat).view({3, 1, 2})));
  EXPECT_TRUE(
      halting_distribution({always, never, never})
          .equal(at::tensor({1.0, 1.0, 0.0, 0.0, 0.0, 0.0}).to(at::kFloat).view({3, 1, 2})));
  // What the last logit says changes nothing, and it gets no gradient.
  const auto half = at::zeros({1, 2});
  const auto last = always.clone().requires_grad_(true);
  EXPECT_TRUE(halting_distribution({half, last}).equal(halting_distribution({half, never})));
  EXPECT_FALSE(halting_distribution({half, last}).requires_grad());
}

TEST(HaltingDistribution, OneLoopTakesAll) {
  EXPECT_TRUE(halting_distribution({at::full({2, 3}, -1000.0)}).equal(at::ones({1, 2, 3})));
}

TEST(HaltingDistribution, ASmallChanceIsNotAWrongZero) {
  // In fp32 1 - sigmoid(20) is 0; the probability to go on three times is e^-60.
  const auto logit = at::full({1, 1}, 20.0);
  const auto probabilities = halting_distribution({logit, logit, logit, logit});
  const double expected = std::pow(1.0 / (1.0 + std::exp(20.0)), 3);
  EXPECT_NEAR(probabilities[3].item<double>() / expected, 1.0, 1e-5);
}

TEST(HaltingDistribution, GradientsMatchInEveryUsedLogit) {
  RandomTensors random;
  for (const int64_t num_loops : {2, 3, 7}) {
    auto logits = random_loops(random, num_loops - 1, {2, 3}, at::kDouble);
    expect_gradients_match(
        [](auto used) {
          used.push_back(at::zeros({2, 3}, at::kDouble));
          return halting_distribution(used);
        },
        logits);
  }
}

TEST(HaltingDistribution, ExpectedLoopsHaveAGradientInEveryLogit) {
  // An integer count of loops would have none, and a ponder penalty on it would do nothing.
  std::vector<at::Tensor> logits;
  for (int t = 0; t < 4; ++t) {
    logits.push_back(at::full({1, 2}, -0.5 + 0.3 * t).requires_grad_(true));
  }
  const auto mix = mix_by_halting(std::vector<at::Tensor>(4, at::zeros({1, 2, 3})),
                                  halting_distribution(logits));
  mix.expected_loops.sum().backward();
  for (size_t t = 0; t < 3; ++t) {
    ASSERT_TRUE(logits[t].grad().defined());
    // More will to stop at a loop means fewer loops.
    EXPECT_TRUE(logits[t].grad().lt(-1e-3).all().item<bool>()) << "loop " << t + 1;
  }
}

TEST(HaltingDistribution, RefusesNoLoopsAndTwoShapes) {
  expect_error(ErrorCode::kShape, "halting_distribution: expected at least one loop, got none.",
               [] { halting_distribution({}); });
  expect_error(ErrorCode::kShape,
               "halting_distribution: expected logits of shape [2, 3], got [2, 1].", [] {
                 halting_distribution({at::zeros({2, 3}), at::zeros({2, 1}), at::zeros({2, 3})});
               });
}

/// w . [h ; step] + b, token by token.
std::vector<double> logits_by_hand(const at::Tensor& state, const at::Tensor& weight,
                                   const at::Tensor& bias, double step) {
  const auto h = values_of(state);
  const auto w = values_of(weight);
  const size_t width = w.size() - 1;
  std::vector<double> logits(h.size() / width, w[width] * step + values_of(bias)[0]);
  for (size_t i = 0; i < h.size(); ++i) {
    logits[i / width] += h[i] * w[i % width];
  }
  return logits;
}

TEST(RouterLogits, AreTheFormulaInBothDtypesAndEverySize) {
  RandomTensors random;
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    for (const int64_t width : {1, 7, 8, 9, 15, 16, 17, 37, 4096}) {
      const auto state = random.normal({2, 3, width}, dtype);
      const auto weight = random.normal({1, width + 1}, at::kFloat);
      const auto bias = random.normal({1}, at::kFloat);
      for (const double step : {0.0, 0.5, 1.0}) {
        const auto expected = logits_by_hand(state, weight, bias, step);
        const auto logits = router_logits(state, weight, bias, step);
        EXPECT_EQ(logits.scalar_type(), dtype);
        EXPECT_EQ(logits.sizes(), at::IntArrayRef({2, 3}));
        expect_close(logits, expected, kRouterTolerance.of(dtype));
        expect_close(router_logits(with_gaps(state), with_gaps(weight), with_gaps(bias), step),
                     expected, kRouterTolerance.of(dtype));
      }
    }
  }
}

TEST(RouterLogits, GradientsMatch) {
  RandomTensors random;
  for (const double step : {0.0, 0.5}) {
    // A step of 0 gives the step's weight a gradient of 0, not none.
    expect_gradients_match(
        [step](const auto& in) { return router_logits(in[0], in[1], in[2], step); },
        {random.normal({2, 3, 9}), random.normal({1, 10}), random.normal({1})});
  }
}

TEST(RouterLogits, RefuseAWeightOrABiasThatDoesNotFit) {
  const auto state = at::zeros({2, 3, 8});
  expect_error(ErrorCode::kShape, "router_logits: expected weight of shape [1, 9], got [1, 8].",
               [&] {
                 router_logits(state, at::zeros({1, 8}), at::zeros({1}), 0.0);
               });
  expect_error(ErrorCode::kShape, "router_logits: expected bias of shape [1], got [2].", [&] {
    router_logits(state, at::zeros({1, 9}), at::zeros({2}), 0.0);
  });
}

TEST(MixByHalting, IsTheFormulaInEveryDtypeAndSize) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    const auto wide = accumulation_type(dtype);
    for (const int64_t num_loops : {1, 2, 3, 7}) {
      for (const auto width : kSizes) {
        auto states = random_loops(random, num_loops, {2, 3, width}, dtype);
        const auto probabilities = at::softmax(random.normal({num_loops, 2, 3}, wide), 0);
        const auto p = values_of(probabilities);
        std::vector<double> state(static_cast<size_t>(6 * width), 0.0);
        std::vector<double> loops(6, 0.0);
        for (size_t t = 0; t < states.size(); ++t) {
          const auto h = values_of(states[t]);
          for (size_t i = 0; i < h.size(); ++i) {
            state[i] += p[t * 6 + i / static_cast<size_t>(width)] * h[i];
          }
          for (size_t token = 0; token < 6; ++token) {
            loops[token] += static_cast<double>(t + 1) * p[t * 6 + token];
          }
        }
        const auto expect_mix = [&](const HaltingMix& mix) {
          EXPECT_EQ(mix.state.scalar_type(), dtype);
          EXPECT_EQ(mix.state.sizes(), states.front().sizes());
          EXPECT_EQ(mix.expected_loops.scalar_type(), wide);
          EXPECT_EQ(mix.expected_loops.sizes(), at::IntArrayRef({2, 3}));
          expect_close(mix.state, state, kHaltingMixTolerance.of(dtype));
          expect_close(mix.expected_loops, loops, kHaltingMixTolerance.of(wide));
        };
        expect_mix(mix_by_halting(states, probabilities));
        for (auto& h : states) {
          h = with_gaps(h);
        }
        expect_mix(mix_by_halting(states, with_gaps(probabilities)));
      }
    }
  }
}

TEST(MixByHalting, AllWeightOnTheLastLoopReturnsTheLastState) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    const auto states = random_loops(random, 3, {2, 5, 8}, dtype);
    const auto never = at::full({2, 5}, -1000.0);
    const auto mix = mix_by_halting(states, halting_distribution({never, never, never}));
    EXPECT_TRUE(mix.state.equal(states[2]));
    EXPECT_TRUE(mix.expected_loops.equal(at::full({2, 5}, 3.0)));
  }
}

TEST(MixByHalting, OneLoopReturnsItsState) {
  const auto state = RandomTensors().normal({2, 5, 8}, at::kFloat);
  const auto mix = mix_by_halting({state}, halting_distribution({at::zeros({2, 5})}));
  EXPECT_TRUE(mix.state.equal(state));
  EXPECT_TRUE(mix.expected_loops.equal(at::ones({2, 5})));
}

TEST(MixByHalting, GradientsMatch) {
  RandomTensors random;
  for (const int64_t num_loops : {1, 2, 5}) {
    auto inputs = random_loops(random, num_loops, {2, 3, 4}, at::kDouble);
    inputs.push_back(at::softmax(random.normal({num_loops, 2, 3}), 0));
    expect_gradients_match(
        [](auto in) {
          const auto probabilities = in.back();
          in.pop_back();
          const auto mix = mix_by_halting(in, probabilities);
          return at::cat({mix.state, mix.expected_loops.unsqueeze(-1)}, -1);
        },
        inputs);
  }
}

TEST(MixByHalting, RefusesNoLoops) {
  expect_error(ErrorCode::kShape,
               "mix_by_halting: expected states [B, T, D] of at least one loop, got none.", [] {
                 mix_by_halting({}, at::ones({0, 2, 3}));
               });
}

TEST(MixByHalting, RefusesShapesThatDoNotFit) {
  const auto state = at::zeros({2, 3, 4});
  expect_error(ErrorCode::kShape,
               "mix_by_halting: expected halting of shape [2, 2, 3], got [3, 2, 3].", [&] {
                 mix_by_halting({state, state}, at::ones({3, 2, 3}));
               });
  expect_error(ErrorCode::kShape,
               "mix_by_halting: expected halting of shape [1, 2, 3], got [1, 2, 1].", [&] {
                 mix_by_halting({state}, at::ones({1, 2, 1}));
               });
  expect_error(ErrorCode::kShape,
               "mix_by_halting: expected states of shape [2, 3, 4], got [1, 3, 4].", [&] {
                 mix_by_halting({state, at::zeros({1, 3, 4})}, at::ones({2, 2, 3}));
               });
  expect_error(ErrorCode::kShape,
               "mix_by_halting: expected states [B, T, D] of at least one loop, got [3, 4].", [] {
                 mix_by_halting({at::zeros({3, 4})}, at::ones({1, 3, 4}));
               });
}

}  // namespace
}  // namespace loopbank::ops
