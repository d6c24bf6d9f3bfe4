/// Ops on a device that is no CPU (tests/device/stand_in_device.h).

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

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

/// The device's products are LibTorch's own, which before AVX-512 add up in bf16.
double allowed_on_device(at::ScalarType dtype) {
  return 1.5 * allowed_difference(dtype);
}

class OpsOnAnotherDevice : public ::testing::TestWithParam<at::ScalarType> {};

TEST_P(OpsOnAnotherDevice, FusedAndReferenceAgreeInValueAndGradients) {
  for (const auto& op : op_cases(kOddSizes, GetParam(), stand_in_device())) {
    EXPECT_LE(largest_difference(op), allowed_on_device(GetParam())) << op.name;
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
      EXPECT_LE(largest_share(all[k], expected[k]), allowed_on_device(GetParam()))
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

}  // namespace
}  // namespace loopbank::ops
