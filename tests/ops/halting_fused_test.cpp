#include <ATen/core/Tensor.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/softmax.h>
#include <gtest/gtest.h>

#include "elementwise_fused_check.h"
#include "gradient_check.h"
#include "loopbank/ops/halting.h"
#include "loopbank/ops/kernels.h"

namespace loopbank::ops {
namespace {

using testing::expect_close;
using testing::expect_fused_is_reference;
using testing::kFusedDtypes;
using testing::kSizes;
using testing::RandomTensors;
using testing::with_gaps;

/// A probability's gradient is a sum over D, a router weight's over all tokens.
constexpr Tolerance kHaltingFusedTolerance{.fp32 = 2e-5, .bf16 = kOneRoundingToBf16};

std::vector<at::Tensor> mix(std::vector<at::Tensor> in) {
  const auto halting = in.back();
  in.pop_back();
  const auto mixed = mix_by_halting(in, halting);
  return {mixed.state, mixed.expected_loops};
}

/// N states, then their probabilities.
std::vector<at::Tensor> random_mix(RandomTensors& random, int64_t num_loops,
                                   std::vector<int64_t> shape, at::ScalarType dtype) {
  std::vector<at::Tensor> inputs;
  for (int64_t t = 0; t < num_loops; ++t) {
    inputs.push_back(random.normal(shape, dtype));
  }
  inputs.push_back(at::softmax(random.normal({num_loops, shape[0], shape[1]}, at::kFloat), 0));
  return inputs;
}

std::vector<at::Tensor> route(const std::vector<at::Tensor>& in) {
  return {router_logits(in[0], in[1], in[2], 0.5)};
}

std::vector<at::Tensor> random_route(RandomTensors& random, const std::vector<int64_t>& shape) {
  return {random.normal(shape, at::kFloat), random.normal({1, shape.back() + 1}, at::kFloat),
          random.normal({1}, at::kFloat)};
}

std::vector<at::Tensor> all_with_gaps(std::vector<at::Tensor> tensors) {
  for (auto& tensor : tensors) {
    tensor = with_gaps(tensor);
  }
  return tensors;
}

TEST(MixByHaltingFused, IsTheReferenceInValueAndGradients) {
  RandomTensors random;
  for (const auto dtype : kFusedDtypes) {
    for (const int64_t num_loops : {1, 3}) {
      for (const auto width : kSizes) {
        const auto inputs = random_mix(random, num_loops, {2, 3, width}, dtype);
        expect_fused_is_reference(mix, inputs, kHaltingFusedTolerance);
        expect_fused_is_reference(mix, all_with_gaps(inputs), kHaltingFusedTolerance);
      }
    }
    expect_fused_is_reference(mix, random_mix(random, 3, {50, 9, 37}, dtype),
                              kHaltingFusedTolerance);
  }
}

TEST(MixByHaltingFused, EitherResultMayGoUnused) {
  RandomTensors random;
  for (const size_t used : {0, 1}) {
    const auto gradients = [&](Kernels kernels) {
      const KernelsScope scope(kernels);
      auto inputs = random_mix(random, 3, {2, 3, 9}, at::kFloat);
      for (auto& input : inputs) {
        input = at::ones_like(input).requires_grad_(true);
      }
      mix(inputs)[used].sum().backward();
      return inputs;
    };
    const auto fused = gradients(Kernels::kFused);
    const auto reference = gradients(Kernels::kReference);
    for (size_t i = 0; i < fused.size(); ++i) {
      ASSERT_EQ(fused[i].grad().defined(), reference[i].grad().defined()) << "input " << i;
      if (fused[i].grad().defined()) {
        expect_close(fused[i].grad(), reference[i].grad(), kHaltingFusedTolerance.fp32);
      }
    }
  }
}

TEST(MixByHaltingFused, GivesGradientsToTheStatesThatAskOnly) {
  RandomTensors random;
  auto inputs = random_mix(random, 3, {2, 3, 9}, at::kBFloat16);
  inputs[1].requires_grad_(true);
  mix(inputs)[0].sum().backward();
  EXPECT_FALSE(inputs[0].grad().defined());
  expect_close(inputs[1].grad(), inputs[3][1].unsqueeze(-1).expand({2, 3, 9}),
               kHaltingFusedTolerance.bf16);
}

TEST(RouterLogitsFused, IsTheReferenceInValueAndGradients) {
  RandomTensors random;
  for (const auto width : kSizes) {
    expect_fused_is_reference(route, random_route(random, {2, 3, width}), kHaltingFusedTolerance);
  }
  expect_fused_is_reference(route, all_with_gaps(random_route(random, {2, 3, 37})),
                            kHaltingFusedTolerance);
  expect_fused_is_reference(route, random_route(random, {100, 9, 37}), kHaltingFusedTolerance);
}

}  // namespace
}  // namespace loopbank::ops
