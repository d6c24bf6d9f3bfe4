#include "loopbank/ops/feed_forward.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "gradient_check.h"
#include "loopbank/ops/kernels.h"
#include "prepared_weights.h"

namespace loopbank::ops {
namespace {

using testing::expect_close;
using testing::expect_error;
using testing::expect_gradients_match;
using testing::expect_near_largest;
using testing::kEps;
using testing::prepare;
using testing::RandomTensors;

/// y of in = {a, norm, gate, up, down, scale or nothing}.
at::Tensor run_feed_forward(const std::vector<at::Tensor>& in, at::ScalarType compute) {
  return feed_forward(in[0],
                      {.norm = in[1],
                       .eps = kEps,
                       .gate_up = prepare({in[2], in[3]}, compute),
                       .down = prepare({in[4]}, compute)},
                      in.size() > 5 ? in[5] : at::Tensor());
}

/// Weights that keep the scale of what they read.
std::vector<at::Tensor> feed_forward_inputs(int64_t rows, int64_t D, int64_t F,
                                            at::ScalarType dtype) {
  RandomTensors random;
  const auto weight = [&](int64_t out, int64_t in) {
    return random.normal({out, in}, dtype) / std::sqrt(static_cast<double>(in));
  };
  return {random.normal({rows, D}, dtype),
          random.normal({D}, dtype),
          weight(F, D),
          weight(F, D),
          weight(D, F),
          at::full({}, 0.3, dtype)};
}

TEST(FeedForward, IsItsDefinition) {
  const auto in = feed_forward_inputs(7, 5, 9, at::kDouble);
  const auto x = in[0] / (in[0].square().mean(-1, /*keepdim=*/true) + kEps).sqrt() * in[1];
  const auto gate = at::matmul(x, in[2].t());
  const auto inner = gate * at::sigmoid(gate) * at::matmul(x, in[3].t());
  const auto branch = at::matmul(inner, in[4].t());
  expect_close(run_feed_forward(in, at::kDouble), in[0] + 0.3 * branch, 1e-12);
  expect_close(run_feed_forward({in.begin(), in.end() - 1}, at::kDouble), in[0] + branch, 1e-12);
}

TEST(FeedForward, GradientsMatch) {
  expect_gradients_match([](const auto& in) { return run_feed_forward(in, at::kDouble); },
                         feed_forward_inputs(3, 4, 5, at::kDouble));
}

/// The result and the gradients of all inputs after two uses of the same weights, the loops of a
/// layer.
std::vector<at::Tensor> after_two_loops(Kernels choice, std::vector<at::Tensor> in,
                                        at::ScalarType compute, bool with_scale) {
  const KernelsScope scope(choice);
  for (auto& tensor : in) {
    tensor = tensor.detach().clone().requires_grad_(true);
  }
  const FeedForwardWeights weights{.norm = in[1],
                                   .eps = kEps,
                                   .gate_up = prepare({in[2], in[3]}, compute),
                                   .down = prepare({in[4]}, compute)};
  const auto scale = with_scale ? in[5] : at::Tensor();
  const auto y = feed_forward(feed_forward(in[0], weights, scale), weights, scale);
  RandomTensors random;
  (y * random.normal(y.sizes(), at::kFloat)).sum().backward();
  std::vector<at::Tensor> result = {y.detach()};
  for (size_t i = 0; i < in.size() - (with_scale ? 0 : 1); ++i) {
    result.push_back(in[i].grad());
  }
  return result;
}

/// Fewer rows than are fused, one block a thread, several, a last block and a last part that are
/// smaller; sizes that fill no vector.
TEST(FeedForward, FusedIsTheReferenceInValueAndGradients) {
  struct Sizes {
    int64_t rows, D, F;
  };
  const int before = at::get_num_threads();
  for (const auto [rows, D, F] :
       {Sizes{255, 16, 32}, Sizes{256, 17, 33}, Sizes{1037, 64, 96}, Sizes{600, 32, 1100}}) {
    for (const auto compute : {at::kFloat, at::kBFloat16}) {
      for (const int threads : {1, 2}) {
        at::set_num_threads(threads);
        for (const bool with_scale : {true, false}) {
          const auto in = feed_forward_inputs(rows, D, F, at::kFloat);
          const auto fused = after_two_loops(Kernels::kFused, in, compute, with_scale);
          const auto reference = after_two_loops(Kernels::kReference, in, compute, with_scale);
          expect_near_largest(fused, reference, kFeedForwardTolerance.of(compute));
        }
      }
    }
  }
  at::set_num_threads(before);
}

TEST(FeedForward, DoesNotDependOnWhetherAGraphIsBuilt) {
  auto in = feed_forward_inputs(300, 32, 64, at::kFloat);
  at::Tensor without;
  {
    const at::NoGradGuard no_grad;
    without = run_feed_forward(in, at::kBFloat16);
  }
  in[0].requires_grad_(true);
  EXPECT_TRUE(at::equal(run_feed_forward(in, at::kBFloat16), without));
}

TEST(FeedForward, APassForItsInputAloneLeavesNothingBehind) {
  for (const bool with_scale : {true, false}) {
    auto in = feed_forward_inputs(300, 8, 16, at::kFloat);
    for (auto& tensor : in) {
      tensor.requires_grad_(true);
    }
    const auto y =
        run_feed_forward({in.begin(), in.end() - (with_scale ? 0 : 1)}, at::kFloat).sum();
    const auto of_weights = [&] {
      return torch::autograd::grad({y}, {in[2], in[3], in[4]}, {}, /*retain_graph=*/true);
    };
    const auto before = of_weights();
    torch::autograd::grad({y}, {in[0]}, {}, /*retain_graph=*/true);
    torch::autograd::grad({y}, {in[4]}, {}, /*retain_graph=*/true);
    const auto after = of_weights();
    for (size_t i = 0; i < before.size(); ++i) {
      EXPECT_TRUE(at::equal(after[i], before[i])) << i;
    }
  }
}

TEST(FeedForward, FrozenWeightsReceiveNoGradient) {
  auto in = feed_forward_inputs(300, 8, 16, at::kFloat);
  in[0].requires_grad_(true);
  in[3].requires_grad_(true);
  run_feed_forward(in, at::kFloat).sum().backward();
  EXPECT_TRUE(in[0].grad().defined());
  EXPECT_TRUE(in[3].grad().defined());
  for (const size_t frozen : {1, 2, 4, 5}) {
    EXPECT_FALSE(in[frozen].grad().defined()) << frozen;
  }
}

TEST(FeedForward, RefusesShapesThatDoNotFit) {
  const auto in = feed_forward_inputs(2, 3, 4, at::kFloat);
  expect_error(ErrorCode::kShape, "feed_forward: expected a [..., 3], got [2, 5].", [&] {
    run_feed_forward({at::zeros({2, 5}), in[1], in[2], in[3], in[4]}, at::kFloat);
  });
  expect_error(ErrorCode::kShape,
               "feed_forward: expected gate and up [F, D] and down [D, F], got 8 outputs of 3 and "
               "down [3, 5].",
               [&] {
                 run_feed_forward({in[0], in[1], in[2], in[3], at::zeros({3, 5})}, at::kFloat);
               });
}

}  // namespace
}  // namespace loopbank::ops
