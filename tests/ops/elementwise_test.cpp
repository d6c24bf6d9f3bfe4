#include "loopbank/ops/elementwise.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scalar_tensor.h>
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
using testing::sigmoid_by_hand;
using testing::values_of;
using testing::with_gaps;

/// silu(gate) * up with [gate | up] in each row.
std::vector<double> swiglu_by_hand(const at::Tensor& gate_up) {
  const auto halves = gate_up.chunk(2, -1);
  const auto g = values_of(halves[0]);
  auto y = values_of(halves[1]);
  for (size_t i = 0; i < y.size(); ++i) {
    y[i] *= g[i] * sigmoid_by_hand(g[i]);
  }
  return y;
}

TEST(Swiglu, IsTheFormulaInEveryDtypeAndSize) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    for (const auto width : kSizes) {
      const auto gate_up = random.normal({2, 3, 2 * width}, dtype);
      const auto y = swiglu(gate_up);
      EXPECT_EQ(y.scalar_type(), dtype);
      EXPECT_EQ(y.sizes(), at::IntArrayRef({2, 3, width}));
      expect_close(y, swiglu_by_hand(gate_up), kElementwiseTolerance.of(dtype));
      expect_close(swiglu(with_gaps(gate_up)), swiglu_by_hand(gate_up),
                   kElementwiseTolerance.of(dtype));
    }
  }
}

TEST(Swiglu, StaysFiniteFarOut) {
  const auto gate = at::tensor({-1e4, -100.0, 0.0, 100.0, 1e4}).to(at::kFloat);
  expect_close(swiglu(at::cat({gate, at::ones({5})})), {0.0, 0.0, 0.0, 100.0, 1e4},
               kElementwiseTolerance.fp32);
}

TEST(Swiglu, GradientsMatch) {
  expect_gradients_match([](const auto& in) { return swiglu(in[0]); },
                         {RandomTensors().normal({2, 3, 18})});
}

TEST(Swiglu, RefusesAnOddWidth) {
  expect_error(ErrorCode::kShape,
               "swiglu: expected gate and up side by side, an even width, got 7.", [] {
                 swiglu(at::zeros({2, 7}));
               });
}

std::vector<double> residual_by_hand(const at::Tensor& state, const at::Tensor& branch,
                                     double scale) {
  auto y = values_of(state);
  const auto b = values_of(branch);
  for (size_t i = 0; i < y.size(); ++i) {
    y[i] += scale * b[i];
  }
  return y;
}

TEST(ScaledResidual, IsTheFormulaInEveryDtypeAndSize) {
  RandomTensors random;
  const auto scale = at::scalar_tensor(0.3F, at::kFloat);
  for (const auto dtype : kDtypes) {
    const auto state_dtype = accumulation_type(dtype);
    for (const auto width : kSizes) {
      const auto state = random.normal({2, 3, width}, state_dtype);
      const auto branch = random.normal({2, 3, width}, dtype);
      const auto y = scaled_residual(state, branch, scale);
      EXPECT_EQ(y.scalar_type(), state_dtype);
      EXPECT_EQ(y.sizes(), state.sizes());
      const double tolerance = kElementwiseTolerance.of(state_dtype);
      expect_close(y, residual_by_hand(state, branch, 0.3F), tolerance);
      expect_close(scaled_residual(with_gaps(state), with_gaps(branch), scale),
                   residual_by_hand(state, branch, 0.3F), tolerance);
      expect_close(scaled_residual(state, branch, at::Tensor()),
                   residual_by_hand(state, branch, 1.0), tolerance);
    }
  }
}

TEST(ScaledResidual, ABf16BranchWithTheFirstScaleDoesNotVanish) {
  // softplus(-7) = 0.0009 times a branch of 1 is less than half a unit of 1 in bf16.
  const auto scale = at::scalar_tensor(std::log1p(std::exp(-7.0)), at::kFloat);
  const auto y = scaled_residual(at::ones({1, 4}), at::ones({1, 4}, at::kBFloat16), scale);
  expect_close(y, at::full({1, 4}, 1.0 + std::log1p(std::exp(-7.0)), at::kDouble),
               kElementwiseTolerance.fp32);
}

TEST(ScaledResidual, GradientsMatch) {
  RandomTensors random;
  expect_gradients_match([](const auto& in) { return scaled_residual(in[0], in[1], in[2]); },
                         {random.normal({2, 3, 9}), random.normal({2, 3, 9}), random.normal({})});
  expect_gradients_match([](const auto& in) { return scaled_residual(in[0], in[1], at::Tensor()); },
                         {random.normal({2, 9}), random.normal({2, 9})});
}

TEST(ScaledResidual, RefusesTwoShapesAndARowOfScales) {
  const auto state = at::zeros({2, 8});
  expect_error(ErrorCode::kShape, "scaled_residual: expected branch of shape [2, 8], got [8].",
               [&] { scaled_residual(state, at::zeros({8}), at::Tensor()); });
  expect_error(ErrorCode::kShape, "scaled_residual: expected scale of one element, got [8].",
               [&] { scaled_residual(state, state, at::ones({8})); });
}

TEST(AddBiases, AreAddedSideBySideInEveryDtypeAndSize) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    for (const auto width : kSizes) {
      const auto x = random.normal({2, 3, 2 * width + 1}, dtype);
      const std::vector<at::Tensor> biases = {random.normal({width}, at::kFloat),
                                              random.normal({1}, at::kFloat),
                                              random.normal({width}, at::kFloat)};
      const auto expected = x.to(at::kDouble) + at::cat(biases).to(at::kDouble);
      const auto y = add_biases(x, biases);
      EXPECT_EQ(y.scalar_type(), dtype);
      expect_close(y, expected, kElementwiseTolerance.of(dtype));
      const auto gaps = add_biases(with_gaps(x), {with_gaps(biases[0]), biases[1], biases[2]});
      expect_close(gaps, expected, kElementwiseTolerance.of(dtype));
    }
  }
}

TEST(AddBiases, GradientsMatch) {
  RandomTensors random;
  expect_gradients_match(
      [](const auto& in) {
        return add_biases(in[0], {in[1], in[2]});
      },
      {random.normal({2, 3, 5}), random.normal({4}), random.normal({1})});
}

TEST(AddBiases, GradientsOfTheFusedOneAreSumsOverRows) {
  RandomTensors random;
  for (const auto dtype : testing::kFusedDtypes) {
    const auto x = random.normal({700, 9}, dtype).requires_grad_(true);
    const auto bias = random.normal({4}, at::kFloat).requires_grad_(true);
    const auto other = random.normal({5}, at::kFloat).requires_grad_(true);
    const auto gradient = random.normal({700, 9}, dtype);
    add_biases(x, {bias, other}).backward(gradient);
    EXPECT_TRUE(x.grad().equal(gradient));
    const auto sums = gradient.to(at::kDouble).sum(0);
    expect_close(bias.grad(), sums.narrow(0, 0, 4), 1e-5);
    expect_close(other.grad(), sums.narrow(0, 4, 5), 1e-5);
  }
}

TEST(AddBiases, RefusesBiasesOfAnotherWidth) {
  expect_error(ErrorCode::kShape, "add_biases: expected x [..., 5] for as many biases, got [2, 4].",
               [] {
                 add_biases(at::zeros({2, 4}), {at::zeros({3}), at::zeros({2})});
               });
}

}  // namespace
}  // namespace loopbank::ops
