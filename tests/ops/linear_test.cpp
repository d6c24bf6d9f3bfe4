#include "loopbank/ops/linear.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "gradient_check.h"
#include "loopbank/ops/cpu/memory_pool.h"
#include "loopbank/ops/kernels.h"
#include "prepared_weights.h"

namespace loopbank::ops {
namespace {

using testing::expect_close;
using testing::expect_error;
using testing::expect_gradients_match;
using testing::expect_near_largest;
using testing::kDtypes;
using testing::prepare;
using testing::RandomTensors;
using testing::with_gaps;

/// Rows below and above the number from which weights are packed.
constexpr int64_t kRows[] = {1, 5, 127, 128, 131};

TEST(Linear, IsTheProductInEveryDtypeAndSize) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    for (const auto rows : kRows) {
      const auto x = random.normal({1, rows, 17}, dtype);
      const auto first = random.normal({9, 17}, dtype);
      const auto second = random.normal({1, 17}, dtype);
      const auto exact =
          at::matmul(x.to(at::kDouble), at::cat({first, second}).to(at::kDouble).t());
      const auto y = linear(
          x, prepare({first.to(accumulation_type(dtype)), second.to(accumulation_type(dtype))},
                     dtype));
      EXPECT_EQ(y.scalar_type(), dtype);
      expect_close(y, exact, kLinearTolerance.of(dtype));
      expect_close(linear(with_gaps(x), prepare({first, second}, dtype)), exact,
                   kLinearTolerance.of(dtype));
    }
  }
}

TEST(Linear, GradientsMatch) {
  RandomTensors random;
  expect_gradients_match(
      [](const auto& in) {
        return linear(in[0], prepare({in[1], in[2]}, at::kDouble));
      },
      {random.normal({2, 3, 5}), random.normal({4, 5}), random.normal({2, 5})});
}

/// Gradients of x and of every master, weighed with fixed random numbers, of two uses of one set of
/// weights: the loops of a layer.
std::vector<at::Tensor> gradients(Kernels choice, at::Tensor x, std::vector<at::Tensor> masters,
                                  at::ScalarType compute) {
  const KernelsScope scope(choice);
  x = x.detach().clone().requires_grad_(true);
  for (auto& master : masters) {
    master = master.detach().clone().requires_grad_(true);
  }
  const auto weights = prepare(masters, compute);
  RandomTensors random;
  for (const double scale : {1.0, 0.5}) {
    const auto y = linear(x * scale, weights);
    (y * random.normal(y.sizes(), compute)).sum().backward({}, /*retain_graph=*/true);
    weights->forget_forward();
  }
  std::vector<at::Tensor> result = {x.grad()};
  for (const auto& master : masters) {
    result.push_back(master.grad());
  }
  return result;
}

TEST(Linear, FusedGradientsAreTheReferences) {
  RandomTensors random;
  for (const auto compute : {at::kFloat, at::kBFloat16}) {
    for (const auto rows : kRows) {
      const auto x = random.normal({rows, 33}, compute);
      const std::vector<at::Tensor> masters = {random.normal({16, 33}, at::kFloat),
                                               random.normal({7, 33}, at::kFloat)};
      const auto fused = gradients(Kernels::kFused, x, masters, compute);
      const auto reference = gradients(Kernels::kReference, x, masters, compute);
      // Two gradients of the reference are rounded to bf16 and so is their sum.
      expect_near_largest(fused, reference, compute == at::kFloat ? 2e-6 : 3 * kOneRoundingToBf16);
    }
  }
}

TEST(Linear, AFrozenMasterReceivesNoGradient) {
  RandomTensors random;
  const auto x = random.normal({5, 3}, at::kFloat).requires_grad_(true);
  const auto trained = random.normal({4, 3}, at::kFloat).requires_grad_(true);
  const auto frozen = random.normal({2, 3}, at::kFloat);
  linear(x, prepare({frozen, trained}, at::kFloat)).sum().backward();
  EXPECT_FALSE(frozen.grad().defined());
  expect_close(trained.grad(), x.detach().sum(0).expand({4, 3}), kLinearTolerance.fp32);
  expect_close(x.grad(), at::cat({frozen, trained.detach()}).sum(0).expand({5, 3}),
               kLinearTolerance.fp32);
}

TEST(Linear, TakesNoRows) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto x = at::zeros({0, 3}, dtype).requires_grad_(true);
    const auto master = at::ones({2, 3}, at::kFloat).requires_grad_(true);
    const auto y = linear(x, prepare({master}, dtype));
    EXPECT_EQ(y.sizes(), at::IntArrayRef({0, 2}));
    y.sum().backward();
    EXPECT_TRUE(master.grad().equal(at::zeros({2, 3})));
    EXPECT_EQ(x.grad().sizes(), x.sizes());
  }
}

TEST(Linear, WhatABackwardPassPreparedGoesWithIt) {
  if (!install_memory_pool()) {
    GTEST_SKIP() << "this LibTorch keeps its own memory";
  }
  RandomTensors random;
  const auto x = random.normal({200, 1024}).to(at::kFloat).requires_grad_(true);
  auto master = random.normal({1024, 1024}).to(at::kFloat).requires_grad_(true);
  const auto weights = prepare({master}, at::kFloat);
  const auto y = linear(linear(x, weights), weights).sum();
  weights->forget_forward();
  const auto before = memory_pool_use().live_bytes;
  for (int pass = 0; pass < 2; ++pass) {  // the graph is there all the while
    y.backward({}, /*keep_graph=*/true);
    const auto gradient = x.grad();
    x.mutable_grad().reset();
    master.mutable_grad().reset();
    EXPECT_EQ(memory_pool_use().live_bytes, before + gradient.nbytes()) << pass;
  }
}

TEST(Linear, RefusesShapesThatDoNotFit) {
  expect_error(ErrorCode::kShape, "linear: expected at least one weight, got none.",
               [] { prepare({}, at::kFloat); });
  expect_error(ErrorCode::kShape, "linear: expected weight of shape [2, 3], got [2, 4].", [] {
    prepare({at::zeros({5, 3}), at::zeros({2, 4})}, at::kFloat);
  });
  expect_error(ErrorCode::kShape, "linear: expected x [..., 3] for weights [5, 3], got [2, 4].",
               [] {
                 linear(at::zeros({2, 4}), prepare({at::zeros({5, 3})}, at::kFloat));
               });
}

}  // namespace
}  // namespace loopbank::ops
