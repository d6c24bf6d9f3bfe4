#include "loopbank/ops/norm_linear.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "gradient_check.h"
#include "loopbank/ops/kernels.h"

namespace loopbank::ops {
namespace {

using testing::expect_close;
using testing::expect_error;
using testing::expect_gradients_match;
using testing::expect_near_largest;
using testing::kEps;
using testing::RandomTensors;

/// y of in = {a, norm, weights...}, and a once more.
NormLinear run_norm_linear(const std::vector<at::Tensor>& in, at::ScalarType compute) {
  return norm_linear(
      in[0], in[1], kEps,
      std::make_shared<LinearWeights>(std::vector<at::Tensor>{in.begin() + 2, in.end()}, compute));
}

std::vector<at::Tensor> norm_linear_inputs(int64_t rows, int64_t D, at::ScalarType dtype) {
  RandomTensors random;
  const auto weight = [&](int64_t out) {
    return random.normal({out, D}, dtype) / std::sqrt(static_cast<double>(D));
  };
  return {random.normal({rows, D}, dtype), random.normal({D}, dtype), weight(7), weight(33)};
}

TEST(NormLinear, IsItsDefinition) {
  const auto in = norm_linear_inputs(5, 6, at::kDouble);
  const auto x = in[0] / (in[0].square().mean(-1, /*keepdim=*/true) + kEps).sqrt() * in[1];
  const auto result = run_norm_linear(in, at::kDouble);
  expect_close(result.y, at::matmul(x, at::cat({in[2], in[3]}).t()), 1e-12);
  EXPECT_TRUE(at::equal(result.a, in[0]));
}

TEST(NormLinear, GradientsMatch) {
  expect_gradients_match([](const auto& in) { return run_norm_linear(in, at::kDouble).y; },
                         norm_linear_inputs(3, 4, at::kDouble));
}

/// The result and the gradients of all inputs, where y and a are both read on.
std::vector<at::Tensor> result_and_gradients_with(Kernels choice, std::vector<at::Tensor> in,
                                                  at::ScalarType compute) {
  const KernelsScope scope(choice);
  for (auto& tensor : in) {
    tensor = tensor.detach().clone().requires_grad_(true);
  }
  const auto [y, a] = run_norm_linear(in, compute);
  RandomTensors random;
  const auto weigh = [&](const at::Tensor& x) {
    return (x * random.normal(x.sizes(), at::kFloat)).sum();
  };
  (weigh(y) + weigh(a)).backward();
  std::vector<at::Tensor> result = {y.detach()};
  for (const auto& tensor : in) {
    result.push_back(tensor.grad());
  }
  return result;
}

TEST(NormLinear, FusedIsTheReferenceInValueAndGradients) {
  const int before = at::get_num_threads();
  for (const int64_t rows : {255, 256, 1037}) {
    for (const auto compute : {at::kFloat, at::kBFloat16}) {
      for (const int threads : {1, 2}) {
        at::set_num_threads(threads);
        const auto in = norm_linear_inputs(rows, 65, at::kFloat);
        const auto fused = result_and_gradients_with(Kernels::kFused, in, compute);
        const auto reference = result_and_gradients_with(Kernels::kReference, in, compute);
        expect_near_largest(fused, reference, kNormLinearTolerance.of(compute));
      }
    }
  }
  at::set_num_threads(before);
}

TEST(NormLinear, APassForItsInputAloneLeavesNothingBehind) {
  auto in = norm_linear_inputs(300, 8, at::kFloat);
  for (auto& tensor : in) {
    tensor.requires_grad_(true);
  }
  const auto y = run_norm_linear(in, at::kFloat).y.sum();
  const auto gradient = [&](size_t input) {
    return torch::autograd::grad({y}, {in[input]}, {}, /*retain_graph=*/true).front();
  };
  const auto before = gradient(3);
  gradient(0);
  EXPECT_TRUE(at::equal(gradient(3), before));
}

TEST(NormLinear, IsDifferentiableWhereOneResultIsLeftUnread) {
  for (const bool reads_y : {true, false}) {
    auto in = norm_linear_inputs(300, 16, at::kFloat);
    in[0].requires_grad_(true);
    const auto [y, a] = run_norm_linear(in, at::kFloat);
    (reads_y ? y : a).sum().backward();
    if (reads_y) {
      EXPECT_GT(in[0].grad().abs().max().item<double>(), 0.0);
    } else {
      EXPECT_TRUE(at::equal(in[0].grad(), at::ones_like(in[0])));
    }
  }
}

TEST(NormLinear, RefusesShapesThatDoNotFit) {
  const auto in = norm_linear_inputs(2, 3, at::kFloat);
  expect_error(ErrorCode::kShape,
               "norm_linear: expected a [..., 3] for weights [40, 3], got [2, 4].", [&] {
                 run_norm_linear({at::zeros({2, 4}), in[1], in[2], in[3]}, at::kFloat);
               });
}

}  // namespace
}  // namespace loopbank::ops
