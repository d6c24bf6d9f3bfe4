#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>

#include "elementwise_fused_check.h"
#include "gradient_check.h"
#include "loopbank/ops/gated_sum.h"

namespace loopbank::ops {
namespace {

using testing::expect_close;
using testing::expect_fused_is_reference;
using testing::kSizes;
using testing::RandomTensors;
using testing::with_gaps;

/// The biases' gradients are sums over rows.
constexpr Tolerance kGatedSumFusedTolerance{.fp32 = 1e-5, .bf16 = kOneRoundingToBf16};

std::vector<at::Tensor> one_bank(const std::vector<at::Tensor>& in) {
  return {gated_sum(in[0], in[1], {in[2]}, {in[3]})};
}

std::vector<at::Tensor> two_banks(const std::vector<at::Tensor>& in) {
  return {gated_sum(in[0], in[1], {in[2], in[3]}, {in[4], in[5]})};
}

/// State, logits, biases and memories for K banks.
std::vector<at::Tensor> random_bank_inputs(RandomTensors& random, std::vector<int64_t> shape,
                                           int64_t num_banks, at::ScalarType dtype) {
  std::vector<at::Tensor> inputs = {random.normal(shape, at::kFloat)};
  auto joined = shape;
  joined.back() *= num_banks;
  inputs.push_back(2.0 * random.normal(joined, dtype));
  for (int64_t bank = 0; bank < num_banks; ++bank) {
    inputs.push_back(random.normal({shape.back()}, at::kFloat));
  }
  for (int64_t bank = 0; bank < num_banks; ++bank) {
    inputs.push_back(random.normal(shape, dtype));
  }
  return inputs;
}

void expect_both_are_reference(RandomTensors& random, const std::vector<int64_t>& shape) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    expect_fused_is_reference(one_bank, random_bank_inputs(random, shape, 1, dtype),
                              kGatedSumFusedTolerance);
    expect_fused_is_reference(two_banks, random_bank_inputs(random, shape, 2, dtype),
                              kGatedSumFusedTolerance);
  }
}

TEST(GatedSumFused, IsTheReferenceInValueAndGradients) {
  RandomTensors random;
  for (const auto width : kSizes) {
    expect_both_are_reference(random, {2, 3, width});
  }
}

TEST(GatedSumFused, IsTheReferenceOnTwoThreads) {
  RandomTensors random;
  expect_both_are_reference(random, {100, 9, 17});
}

TEST(GatedSumFused, TakesInputsWithGaps) {
  RandomTensors random;
  auto inputs = random_bank_inputs(random, {2, 3, 17}, 2, at::kBFloat16);
  for (auto& input : inputs) {
    input = with_gaps(input);
  }
  expect_fused_is_reference(two_banks, inputs, kGatedSumFusedTolerance);
}

TEST(GatedSumFused, TakesAGradientThatIsOneNumberExpanded) {
  RandomTensors random;
  auto inputs = random_bank_inputs(random, {2, 3, 17}, 1, at::kFloat);
  for (auto& input : inputs) {
    input.requires_grad_(true);
  }
  one_bank(inputs)[0].sum().backward();
  expect_close(inputs[0].grad(), at::ones({2, 3, 17}), 0.0);
  expect_close(inputs[3].grad(), memory_gate(inputs[1], inputs[2]).detach(),
               kGatedSumFusedTolerance.fp32);
}

TEST(GatedSumFused, AGateThatIsNotANumberShows) {
  const auto x = at::ones({1, 17});
  const auto nan = at::full({1, 17}, std::nan(""));
  EXPECT_TRUE(one_bank({x, nan, at::zeros({17}), x})[0].isnan().all().item<bool>());
}

}  // namespace
}  // namespace loopbank::ops
