#include "loopbank/ops/elementwise.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "gradient_check.h"

namespace loopbank::ops {
namespace {

using namespace loopbank::testing;

double sigmoid_by_hand(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}

std::vector<double> swiglu_by_hand(const at::Tensor& gate, const at::Tensor& up) {
  const auto g = values_of(gate);
  auto y = values_of(up);
  for (size_t i = 0; i < y.size(); ++i) {
    y[i] *= g[i] * sigmoid_by_hand(g[i]);
  }
  return y;
}

TEST(Swiglu, IsTheFormulaInEveryDtypeAndSize) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    for (const auto width : kSizes) {
      const auto gate = random.normal({2, 3, width}, dtype);
      const auto up = random.normal({2, 3, width}, dtype);
      const auto y = swiglu(gate, up);
      EXPECT_EQ(y.scalar_type(), dtype);
      EXPECT_EQ(y.sizes(), gate.sizes());
      expect_close(y, swiglu_by_hand(gate, up), kElementwiseTolerance.of(dtype));
      expect_close(swiglu(with_gaps(gate), with_gaps(up)), swiglu_by_hand(gate, up),
                   kElementwiseTolerance.of(dtype));
    }
  }
}

TEST(Swiglu, StaysFiniteFarOut) {
  const auto gate = at::tensor({-1e4, -100.0, 0.0, 100.0, 1e4}).to(at::kFloat);
  expect_close(swiglu(gate, at::ones({5})), {0.0, 0.0, 0.0, 100.0, 1e4},
               kElementwiseTolerance.fp32);
}

TEST(Swiglu, GradientsMatch) {
  RandomTensors random;
  expect_gradients_match([](const auto& in) { return swiglu(in[0], in[1]); },
                         {random.normal({2, 3, 9}), random.normal({2, 3, 9})});
}

TEST(Swiglu, RefusesTwoShapes) {
  expect_error(ErrorCode::kShape, "swiglu: expected up of shape [2, 8], got [1, 8].", [] {
    swiglu(at::zeros({2, 8}), at::zeros({1, 8}));
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

TEST(GateMemory, IsTheFormulaInEveryDtypeAndSize) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    const auto wide = accumulation_type(dtype);
    for (const auto width : kSizes) {
      const auto logits = random.normal({2, 3, width}, dtype);
      const auto memory = random.normal({2, 3, width}, dtype);
      const auto bias = random.normal({width}, at::kFloat);
      auto gate = values_of(logits + bias.to(at::kDouble));
      auto value = values_of(memory);
      for (size_t i = 0; i < gate.size(); ++i) {
        gate[i] = sigmoid_by_hand(gate[i]);
        value[i] *= gate[i];
      }
      const double tolerance = kElementwiseTolerance.of(wide);  // nothing is rounded to bf16
      for (const auto& out : {gate_memory(logits, bias, memory),
                              gate_memory(with_gaps(logits), with_gaps(bias), with_gaps(memory))}) {
        EXPECT_EQ(out.gate.scalar_type(), wide);
        EXPECT_EQ(out.value.scalar_type(), wide);
        EXPECT_EQ(out.value.sizes(), logits.sizes());
        expect_close(out.gate, gate, tolerance);
        expect_close(out.value, value, tolerance);
      }
    }
  }
}

TEST(GateMemory, ABf16LogitDoesNotRoundTheBias) {
  // 3.0078125 + 0.00390625 in bf16 would be 3.015625.
  const auto logits = at::full({1, 1}, 0.00390625, at::kBFloat16);
  const auto bias = at::full({1}, 3.0078125, at::kFloat);
  const auto out = gate_memory(logits, bias, at::ones({1, 1}, at::kBFloat16));
  expect_close(out.gate, {sigmoid_by_hand(3.01171875)}, kElementwiseTolerance.fp32);
}

TEST(GateMemory, OpensAndClosesFarOut) {
  const auto memory = at::full({1, 4}, 5.0);
  const auto logits = at::tensor({-1000.0, -100.0, 100.0, 1000.0}).to(at::kFloat).view({1, 4});
  const auto out = gate_memory(logits, at::zeros({4}), memory);
  expect_close(out.gate, {0.0, 0.0, 1.0, 1.0}, kElementwiseTolerance.fp32);
  expect_close(out.value, {0.0, 0.0, 5.0, 5.0}, kElementwiseTolerance.fp32);
}

TEST(GateMemory, GradientsMatch) {
  RandomTensors random;
  expect_gradients_match(
      [](const auto& in) {
        const auto out = gate_memory(in[0], in[1], in[2]);
        return at::stack({out.value, out.gate});
      },
      {random.normal({2, 3, 9}), random.normal({9}), random.normal({2, 3, 9})});
}

TEST(GateMemory, RefusesShapesThatDoNotFit) {
  const auto logits = at::zeros({2, 8});
  expect_error(ErrorCode::kShape, "gate_memory: expected memory of shape [2, 8], got [1, 8].", [&] {
    gate_memory(logits, at::zeros({8}), at::zeros({1, 8}));
  });
  expect_error(ErrorCode::kShape, "gate_memory: expected bias of shape [8], got [1].",
               [&] { gate_memory(logits, at::zeros({1}), logits); });
}

}  // namespace
}  // namespace loopbank::ops
