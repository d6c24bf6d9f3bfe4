#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <vector>

#include "loopbank/ops/device/linear_cross_entropy.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/linear_cross_entropy.h"

namespace loopbank::ops {
namespace {

double largest_difference_of(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs().max() / b.abs().max()).item<double>();
}

TEST(ChunkedCrossEntropy, IsTheDefinitionsInAnyNumberOfChunks) {
  auto generator = at::detail::createCPUGenerator(7);
  const auto states = at::randn({23, 12}, generator, at::kFloat);
  const auto weight = at::randn({31, 12}, generator, at::kFloat);
  auto targets = at::empty({23}, at::kLong);
  targets.random_(0, 31, generator);
  targets[4] = -100;
  targets[22] = -100;
  const auto loss_and_gradients = [&](const auto& loss) {
    const auto x = states.clone().requires_grad_(true);
    const auto w = weight.clone().requires_grad_(true);
    const at::Tensor value = loss(x, w);
    (value * 3.0).backward();
    return std::vector<at::Tensor>{value.detach(), x.grad(), w.grad()};
  };
  const KernelsScope scope(Kernels::kReference);
  const auto expected = loss_and_gradients([&](const at::Tensor& x, const at::Tensor& w) {
    return linear_cross_entropy(x, w, targets, -100);
  });
  for (const int64_t rows : {1, 5, 22, 23, 100}) {
    const auto chunked = loss_and_gradients([&](const at::Tensor& x, const at::Tensor& w) {
      return device::linear_cross_entropy(x, w, targets, -100, rows * 31 * 4);
    });
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_LE(largest_difference_of(chunked[i], expected[i]), 2e-6)
          << rows << " rows, tensor " << i;
    }
  }
}

TEST(ChunkedCrossEntropy, WithoutTargetsIsZero) {
  const auto states = at::randn({4, 6});
  const auto weight = at::randn({9, 6}).requires_grad_(true);
  const auto none = at::empty({4}, at::kLong).fill_(-100);
  const auto loss = device::linear_cross_entropy(states, weight, none, -100);
  loss.backward();
  EXPECT_EQ(loss.item<double>(), 0.0);
  EXPECT_EQ(weight.grad().abs().max().item<double>(), 0.0);
}

}  // namespace
}  // namespace loopbank::ops
