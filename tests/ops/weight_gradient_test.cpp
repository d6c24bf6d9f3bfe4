#include "loopbank/ops/weight_gradient.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "gradient_check.h"
#include "loopbank/ops/linear.h"

namespace loopbank::ops {
namespace {

using testing::expect_close;
using testing::RandomTensors;

struct Uses {
  at::Tensor x, weight;
  std::shared_ptr<LinearWeights> weights;

  Uses() {
    RandomTensors random;
    x = random.normal({4, 3}, at::kFloat);
    weight = random.normal({2, 3}, at::kFloat).requires_grad_(true);
    weights = std::make_shared<LinearWeights>(std::vector<at::Tensor>{weight}, at::kFloat);
  }
  [[nodiscard]] at::Tensor use(double factor) const { return linear(x * factor, weights).sum(); }
  /// Of sum(linear(factor * x)).
  [[nodiscard]] at::Tensor expected(double factor) const {
    return factor * x.sum(0).expand({2, 3});
  }
};

TEST(WeightGradient, IsTheSumOverTheUses) {
  const Uses uses;
  (uses.use(1.0) + uses.use(2.0) + uses.use(-0.5)).backward();
  expect_close(uses.weight.grad(), uses.expected(2.5), kLinearTolerance.fp32);
}

TEST(WeightGradient, BeginsAnewWithEachBackwardPass) {
  const Uses uses;
  const auto first = uses.use(1.0);
  const auto both = first + uses.use(2.0);
  const auto gradient = [&](const at::Tensor& y) {
    return torch::autograd::grad({y}, {uses.weight}, {}, /*retain_graph=*/true).front();
  };
  expect_close(gradient(both), uses.expected(3.0), kLinearTolerance.fp32);
  expect_close(gradient(first), uses.expected(1.0), kLinearTolerance.fp32);
  expect_close(gradient(both), uses.expected(3.0), kLinearTolerance.fp32);
}

TEST(WeightGradient, OfAUseThatNobodyAsksForIsLeftOut) {
  const Uses uses;
  const auto unused = uses.use(7.0);
  uses.use(1.0).backward();
  expect_close(uses.weight.grad(), uses.expected(1.0), kLinearTolerance.fp32);
}

TEST(WeightGradient, IsDoneWithTheWeightsBeforeTheLastProduct) {
  const Uses uses;
  int done = 0;
  WeightGradient gradient({uses.weight}, [&done] { ++done; });
  gradient.expect_use();
  gradient.expect_use();
  const auto dy = at::ones({4, 2});
  for (int pass = 0; pass < 2; ++pass) {
    done = 0;
    gradient.add(as_matrix(dy), as_matrix(uses.x));
    EXPECT_EQ(done, 0);
    gradient.add(as_matrix(dy), as_matrix(uses.x));
    EXPECT_EQ(done, 1);
    gradient.token().sum().backward({}, /*keep_graph=*/true);
  }
  expect_close(uses.weight.grad(), uses.expected(4.0), kLinearTolerance.fp32);
}

TEST(WeightGradient, GoesWithTheGraph) {
  std::weak_ptr<LinearWeights> seen;
  {
    const Uses uses;
    seen = uses.weights;
    uses.use(1.0).backward();
  }
  EXPECT_TRUE(seen.expired());
}

TEST(WeightGradient, IsOneForAllUses) {
  const Uses uses;
  EXPECT_NE(uses.weights->gradient(), nullptr);
  EXPECT_EQ(uses.weights->gradient(), uses.weights->gradient());
}

TEST(WeightGradient, IsNotAskedForWithoutAGraph) {
  const Uses uses;
  const at::NoGradGuard no_grad;
  EXPECT_EQ(uses.weights->gradient(), nullptr);
}

}  // namespace
}  // namespace loopbank::ops
