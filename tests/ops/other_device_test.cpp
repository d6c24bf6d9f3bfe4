/// Ops on a device that is no CPU, and what is made for such devices.

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <vector>

#include "loopbank/ops/device/linear_cross_entropy.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/linear_cross_entropy.h"
#include "loopbank/ops/op_cases.h"
#include "tests/device/stand_in_device.h"

namespace loopbank::ops {
namespace {

using loopbank::testing::num_device_reads;
using loopbank::testing::stand_in_device;

constexpr OpSizes kOddSizes{
    .B = 3, .T = 37, .D = 36, .H = 6, .H_kv = 2, .F = 19, .V = 101, .M = 7, .N = 3};

double largest_share(const at::Tensor& a, const at::Tensor& b) {
  const auto expected = b.to(at::kCPU, at::kFloat);
  return ((a.to(at::kCPU, at::kFloat) - expected).abs().max() / expected.abs().max())
      .item<double>();
}

class OpsOnAnotherDevice : public ::testing::TestWithParam<at::ScalarType> {};

TEST_P(OpsOnAnotherDevice, FusedAndReferenceAgreeInValueAndGradients) {
  for (const auto& op : op_cases(kOddSizes, GetParam(), stand_in_device())) {
    EXPECT_LE(largest_difference(op), allowed_difference(GetParam())) << op.name;
  }
}

TEST_P(OpsOnAnotherDevice, GiveWhatTheCpuGives) {
  const auto here = op_cases(kOddSizes, GetParam());
  const auto there = op_cases(kOddSizes, GetParam(), stand_in_device());
  for (size_t i = 0; i < here.size(); ++i) {
    const auto expected = result_and_gradients(here[i]);
    const auto all = result_and_gradients(there[i]);
    ASSERT_EQ(all.size(), expected.size());
    for (size_t k = 0; k < all.size(); ++k) {
      EXPECT_FALSE(all[k].is_cpu());
      EXPECT_LE(largest_share(all[k], expected[k]), allowed_difference(GetParam()))
          << here[i].name << ", tensor " << k;
    }
  }
}

TEST_P(OpsOnAnotherDevice, ReadNothingBack) {
  for (const auto& op : op_cases(kOddSizes, GetParam(), stand_in_device())) {
    const auto before = num_device_reads();
    static_cast<void>(result_and_gradients(op));
    EXPECT_EQ(num_device_reads(), before) << op.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, OpsOnAnotherDevice, ::testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& dtype) {
                           return dtype.param == at::kFloat ? "fp32" : "bf16";
                         });

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
      EXPECT_LE(largest_share(chunked[i], expected[i]), 2e-6) << rows << " rows, tensor " << i;
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
