#include "loopbank/ops/gated_sum.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
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

std::vector<double> gate_by_hand(const at::Tensor& logits, const at::Tensor& bias) {
  auto gate = values_of(logits.to(at::kDouble) + bias.to(at::kDouble));
  for (auto& g : gate) {
    g = sigmoid_by_hand(g);
  }
  return gate;
}

std::vector<double> sum_by_hand(const at::Tensor& state, const at::Tensor& logits,
                                const std::vector<at::Tensor>& biases,
                                const std::vector<at::Tensor>& memories) {
  auto sum = values_of(state);
  const auto of_banks = logits.chunk(static_cast<int64_t>(biases.size()), -1);
  for (size_t bank = 0; bank < biases.size(); ++bank) {
    const auto gate = gate_by_hand(of_banks[bank], biases[bank]);
    const auto memory = values_of(memories[bank]);
    for (size_t i = 0; i < sum.size(); ++i) {
      sum[i] += gate[i] * memory[i];
    }
  }
  return sum;
}

/// One bank whose state is 0: the sum is the gated memory.
at::Tensor gated(const at::Tensor& logits, const at::Tensor& bias, const at::Tensor& memory) {
  return gated_sum(at::zeros(logits.sizes(), accumulation_type(logits.scalar_type())), logits,
                   {bias}, {memory});
}

TEST(GatedSum, IsTheFormulaInEveryDtypeAndSize) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    const auto wide = accumulation_type(dtype);
    for (const int64_t num_banks : {1, 2, 3}) {
      for (const auto width : kSizes) {
        const auto state = random.normal({2, 3, width}, wide);
        const auto logits = random.normal({2, 3, num_banks * width}, dtype);
        std::vector<at::Tensor> biases;
        std::vector<at::Tensor> memories;
        std::vector<at::Tensor> biases_with_gaps;
        std::vector<at::Tensor> memories_with_gaps;
        for (int64_t bank = 0; bank < num_banks; ++bank) {
          biases.push_back(random.normal({width}, at::kFloat));
          memories.push_back(random.normal({2, 3, width}, dtype));
          biases_with_gaps.push_back(with_gaps(biases.back()));
          memories_with_gaps.push_back(with_gaps(memories.back()));
        }
        const auto expected = sum_by_hand(state, logits, biases, memories);
        const double tolerance = kElementwiseTolerance.of(wide);  // nothing is rounded to bf16
        for (const auto& sum : {gated_sum(state, logits, biases, memories),
                                gated_sum(with_gaps(state), with_gaps(logits), biases_with_gaps,
                                          memories_with_gaps)}) {
          EXPECT_EQ(sum.scalar_type(), wide);
          EXPECT_EQ(sum.sizes(), state.sizes());
          expect_close(sum, expected, tolerance);
        }
      }
    }
  }
}

TEST(GatedSum, ABf16LogitDoesNotRoundTheBias) {
  // 3.0078125 + 0.00390625 in bf16 would be 3.015625.
  const auto logits = at::full({1, 1}, 0.00390625, at::kBFloat16);
  const auto bias = at::full({1}, 3.0078125, at::kFloat);
  expect_close(gated(logits, bias, at::ones({1, 1}, at::kBFloat16)), {sigmoid_by_hand(3.01171875)},
               kElementwiseTolerance.fp32);
  expect_close(memory_gate(logits, bias), {sigmoid_by_hand(3.01171875)},
               kElementwiseTolerance.fp32);
}

TEST(GatedSum, OpensAndClosesFarOut) {
  const auto memory = at::full({1, 4}, 5.0);
  const auto logits = at::tensor({-1000.0, -100.0, 100.0, 1000.0}).to(at::kFloat).view({1, 4});
  expect_close(gated(logits, at::zeros({4}), memory), {0.0, 0.0, 5.0, 5.0},
               kElementwiseTolerance.fp32);
}

TEST(GatedSum, GradientsMatch) {
  RandomTensors random;
  expect_gradients_match(
      [](const auto& in) {
        return gated_sum(in[0], in[1], {in[2], in[3]}, {in[4], in[5]});
      },
      {random.normal({2, 3, 9}), random.normal({2, 3, 18}), random.normal({9}), random.normal({9}),
       random.normal({2, 3, 9}), random.normal({2, 3, 9})});
  expect_gradients_match(
      [](const auto& in) { return gated_sum(in[0], in[1], {in[2]}, {in[3]}); },
      {random.normal({2, 9}), random.normal({2, 9}), random.normal({9}), random.normal({2, 9})});
}

TEST(GatedSum, RefusesShapesThatDoNotFit) {
  const auto state = at::zeros({2, 8});
  const auto bias = at::zeros({8});
  expect_error(ErrorCode::kShape, "gated_sum: expected logits of shape [2, 16], got [2, 8].", [&] {
    gated_sum(state, state, {bias, bias}, {state, state});
  });
  expect_error(ErrorCode::kShape, "gated_sum: expected memory of shape [2, 8], got [1, 8].", [&] {
    gated_sum(state, state, {bias}, {at::zeros({1, 8})});
  });
  expect_error(ErrorCode::kShape, "gated_sum: expected bias of shape [8], got [1].",
               [&] { gated_sum(state, state, {at::zeros({1})}, {state}); });
}

TEST(GatedSum, RefusesNoBankAndABankWithoutAMemory) {
  const auto state = at::zeros({2, 8});
  expect_error(ErrorCode::kShape,
               "gated_sum: expected a bias and a memory for each of at least one bank, got 0 and "
               "0.",
               [&] { gated_sum(state, state, {}, {}); });
  expect_error(ErrorCode::kShape,
               "gated_sum: expected a bias and a memory for each of at least one bank, got 1 and "
               "2.",
               [&] {
                 gated_sum(state, state, {at::zeros({8})}, {state, state});
               });
}

TEST(MemoryGate, IsTheFormulaInEveryDtypeAndSize) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    const auto wide = accumulation_type(dtype);
    for (const auto width : kSizes) {
      const auto logits = random.normal({2, 3, width}, dtype);
      const auto bias = random.normal({width}, at::kFloat);
      for (const auto& gate :
           {memory_gate(logits, bias), memory_gate(with_gaps(logits), with_gaps(bias))}) {
        EXPECT_EQ(gate.scalar_type(), wide);
        expect_close(gate, gate_by_hand(logits, bias), kElementwiseTolerance.of(wide));
      }
    }
  }
}

TEST(MemoryGate, OpensAndClosesFarOut) {
  const auto logits = at::tensor({-1000.0, -100.0, 100.0, 1000.0}).to(at::kFloat).view({1, 4});
  expect_close(memory_gate(logits, at::zeros({4})), {0.0, 0.0, 1.0, 1.0},
               kElementwiseTolerance.fp32);
}

TEST(MemoryGate, GradientsMatch) {
  RandomTensors random;
  expect_gradients_match([](const auto& in) { return memory_gate(in[0], in[1]); },
                         {random.normal({2, 3, 9}), random.normal({9})});
}

TEST(MemoryGate, RefusesABiasOfAnotherWidth) {
  expect_error(ErrorCode::kShape, "memory_gate: expected bias of shape [8], got [1].", [] {
    memory_gate(at::zeros({2, 8}), at::zeros({1}));
  });
}

}  // namespace
}  // namespace loopbank::ops
