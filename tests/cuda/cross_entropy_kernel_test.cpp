#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "../ops/gradient_check.h"
#include "device_emulator.h"
#include "loopbank/ops/cross_entropy.h"
#include "loopbank/ops/cuda/fused.h"
#include "loopbank/ops/cuda/launches.h"

namespace loopbank::testing {
namespace {

using namespace ops;

struct LogitSizes {
  int64_t rows, width;
};
constexpr LogitSizes kLogitSizes[] = {{1, 1}, {3, 7}, {5, 513}, {4, 4104}, {300, 24}};

/// Every third target is not counted, and the first and last of a row are among the targets.
at::Tensor some_targets(const LogitSizes& size) {
  auto targets = at::full({size.rows}, 0, at::kLong);
  for (int64_t row = 0; row < size.rows; ++row) {
    targets[row] = row % 3 == 2 ? kIgnore : (row % 2 == 0 ? size.width - 1 - row % size.width : 0);
  }
  return targets;
}

/// Mean loss and the logits' gradient times 0.25, by the definition in fp64.
struct ExactLoss {
  at::Tensor mean, gradient;
};
ExactLoss exact_loss(const at::Tensor& logits, const at::Tensor& targets) {
  const auto leaf = logits.to(at::kDouble).detach().requires_grad_(true);
  const auto mean = cross_entropy(leaf, targets, kIgnore);
  const auto count = targets.ne(kIgnore).sum().clamp_min(1).to(at::kDouble);
  (mean * count * 0.25).backward();
  return {mean.detach(), leaf.grad()};
}

TEST(CrossEntropyKernel, IsTheDefinitionWithItsGradientInPlace) {
  RandomTensors random;
  for (const auto dtype : kFusedDtypes) {
    for (const auto& size : kLogitSizes) {
      // Far from 0: without the maximum taken off first, exp overflows.
      const auto logits = (random.normal({size.rows, size.width}) * 8 + 200).to(dtype);
      const auto targets = some_targets(size);
      const auto exact = exact_loss(logits, targets);
      const auto count = targets.ne(kIgnore).sum().clamp_min(1);
      for (const int most_threads : {1024, 96, 32}) {
        std::vector<at::Tensor> by_order;
        for (const auto order :
             {ThreadOrder::kForward, ThreadOrder::kBackward, ThreadOrder::kShuffled}) {
          const EmulatorScope scope({.order = order, .most_threads = most_threads});
          const auto in_place = logits.clone();
          const auto losses = cuda::cross_entropy_in_place(in_place, targets, kIgnore,
                                                           at::full({}, 0.25, at::kFloat));
          EXPECT_EQ(losses.masked_select(targets.eq(kIgnore)).abs().sum().item<float>(), 0.0F);
          expect_close(losses.sum() / count, exact.mean, 1e-5);
          expect_close(in_place, exact.gradient,
                       dtype == at::kFloat ? 1e-5 : 0.25 * kOneRoundingToBf16);
          by_order.push_back(in_place);
        }
        EXPECT_TRUE(by_order[0].equal(by_order[1]));
        EXPECT_TRUE(by_order[0].equal(by_order[2]));
      }
    }
  }
}

TEST(CrossEntropyKernel, LeavesTheLogitsWhereNoGradientIsAskedFor) {
  RandomTensors random;
  const auto logits = random.normal({5, 40}, at::kFloat);
  const auto before = logits.clone();
  const auto targets = some_targets({5, 40});
  const auto losses = at::zeros({5}, at::kFloat);
  cuda::cross_entropy_in_place(
      cuda::CrossEntropyInPlace{.logits = {.data = logits.data_ptr(), .size = 200},
                                .targets = targets.data_ptr<int64_t>(),
                                .losses = {.data = losses.data_ptr<float>(), .size = 5},
                                .scale = {},
                                .ignore = kIgnore,
                                .rows = 5,
                                .width = 40},
      nullptr);
  EXPECT_TRUE(logits.equal(before));
  const auto count = targets.ne(kIgnore).sum();
  expect_close(losses.sum() / count, exact_loss(logits, targets).mean, 1e-5);
}

}  // namespace
}  // namespace loopbank::testing
