#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>

#include "elementwise_fused_check.h"
#include "gradient_check.h"
#include "loopbank/ops/elementwise.h"
#include "loopbank/ops/kernels.h"

namespace loopbank::ops {
namespace {

using testing::expect_close;
using testing::expect_fused_is_reference;
using testing::kFusedDtypes;
using testing::kSizes;
using testing::RandomTensors;
using testing::with_gaps;

/// Results and gradients; the scale's is a sum over all values.
constexpr Tolerance kElementwiseFusedTolerance{.fp32 = 2e-6, .bf16 = kOneRoundingToBf16};
constexpr Tolerance kScaleTolerance{.fp32 = 2e-5, .bf16 = kOneRoundingToBf16};

/// Enough values for two threads.
const std::vector<int64_t> kForTwoThreads = {100, 9, 38};

std::vector<at::Tensor> swiglu_alone(const std::vector<at::Tensor>& in) {
  return {swiglu(in[0])};
}

std::vector<at::Tensor> residual_with_scale(const std::vector<at::Tensor>& in) {
  return {scaled_residual(in[0], in[1], in[2])};
}

std::vector<at::Tensor> residual_without_scale(const std::vector<at::Tensor>& in) {
  return {scaled_residual(in[0], in[1], at::Tensor())};
}

TEST(SwigluFused, IsTheReferenceInValueAndGradients) {
  RandomTensors random;
  for (const auto dtype : kFusedDtypes) {
    for (const auto width : kSizes) {
      const auto gate_up = 3.0 * random.normal({2, 3, 2 * width}, dtype);
      expect_fused_is_reference(swiglu_alone, {gate_up}, kElementwiseFusedTolerance);
      expect_fused_is_reference(swiglu_alone, {with_gaps(gate_up)}, kElementwiseFusedTolerance);
    }
    expect_fused_is_reference(swiglu_alone, {random.normal(kForTwoThreads, dtype)},
                              kElementwiseFusedTolerance);
  }
}

TEST(SwigluFused, GradientsStayFiniteFarOut) {
  const auto gate_up = at::tensor({-1e4, -100.0, 0.0, 100.0, 1e4, 1.0, 1.0, 1.0, 1.0, 1.0})
                           .to(at::kFloat)
                           .requires_grad_(true);
  swiglu(gate_up).sum().backward();
  expect_close(gate_up.grad(), {0.0, 0.0, 0.5, 1.0, 1.0, 0.0, 0.0, 0.0, 100.0, 1e4},
               kElementwiseFusedTolerance.fp32);
}

TEST(SwigluFused, RoundsToBf16LikeEveryOtherConversion) {
  // silu(g) = g in fp32 for g of 100 and more: the gradient of `up` is dy * g, rounded, ties and
  // all. Values above 2^-126; below, some CPUs store 0.
  RandomTensors random;
  const auto normal = random.normal({64, 33}, at::kFloat);
  for (const double exponent : {-100.0, -30.0, 0.0, 30.0, 100.0}) {
    const auto dy = (normal * std::exp2(exponent)).to(at::kBFloat16);
    const auto gate = (128.0 + random.normal({64, 33}, at::kFloat).abs()).to(at::kBFloat16);
    const auto gate_up = at::cat({gate, at::ones_like(gate)}, -1).requires_grad_(true);
    swiglu(gate_up).backward(dy);
    const auto expected = dy.to(at::kFloat) * gate.to(at::kFloat);
    EXPECT_TRUE(gate_up.grad().chunk(2, -1)[1].equal(expected.to(at::kBFloat16))) << exponent;
  }
}

TEST(SwigluFused, KeepsWhatIsNotANumber) {
  for (const auto dtype : kFusedDtypes) {
    const auto nan = at::full({2, 34}, std::nan(""), dtype);
    EXPECT_TRUE(swiglu(nan).isnan().all().item<bool>());
  }
}

TEST(ScaledResidualFused, IsTheReferenceInValueAndGradients) {
  RandomTensors random;
  const auto scale = at::full({1}, 0.3, at::kFloat);
  for (const auto dtype : kFusedDtypes) {
    for (const auto width : kSizes) {
      const auto state = random.normal({2, 3, width}, at::kFloat);
      const auto branch = random.normal({2, 3, width}, dtype);
      expect_fused_is_reference(residual_with_scale, {state, branch, scale}, kScaleTolerance);
      expect_fused_is_reference(residual_with_scale, {with_gaps(state), with_gaps(branch), scale},
                                kScaleTolerance);
      expect_fused_is_reference(residual_without_scale, {state, branch},
                                kElementwiseFusedTolerance);
    }
    const auto state = random.normal(kForTwoThreads, at::kFloat);
    const auto branch = random.normal(kForTwoThreads, dtype);
    expect_fused_is_reference(residual_with_scale, {state, branch, scale}, kScaleTolerance);
    expect_fused_is_reference(residual_without_scale, {state, branch}, kElementwiseFusedTolerance);
  }
}

TEST(ScaledResidualFused, GivesGradientsToThoseThatAskOnly) {
  RandomTensors random;
  const auto gradient_of = [&](size_t asks) {
    std::vector<at::Tensor> in = {random.normal({2, 9}, at::kFloat),
                                  random.normal({2, 9}, at::kBFloat16),
                                  at::scalar_tensor(0.5F, at::kFloat)};
    in[asks].requires_grad_(true);
    scaled_residual(in[0], in[1], in[2]).sum().backward();
    for (size_t i = 0; i < in.size(); ++i) {
      EXPECT_EQ(in[i].grad().defined(), i == asks) << "input " << i << ", asked " << asks;
    }
    // The gradient of the scale, from a sum, is the sum of the branch.
    if (asks == 2) {
      expect_close(in[2].grad(), in[1].to(at::kDouble).sum(), kScaleTolerance.fp32);
    }
    return in[asks].grad();
  };
  expect_close(gradient_of(0), at::ones({2, 9}), 0.0);
  expect_close(gradient_of(1), at::full({2, 9}, 0.5), 0.0);
  EXPECT_EQ(gradient_of(2).dim(), 0);
}

TEST(ScaledResidualFused, OneTensorMayBeStateAndBranch) {
  const auto x = RandomTensors().normal({2, 9}, at::kFloat).requires_grad_(true);
  scaled_residual(x, x, at::Tensor()).sum().backward();
  expect_close(x.grad(), at::full({2, 9}, 2.0), 0.0);
}

}  // namespace
}  // namespace loopbank::ops
