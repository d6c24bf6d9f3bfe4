/// Every op of the case list on a GPU: fused against its definition there, and against the CPU.

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "loopbank/ops/kernels.h"
#include "loopbank/ops/op_cases.h"
#include "tests/device/gpu.h"

namespace loopbank::ops {
namespace {

/// One row, small and odd, and rows of the width of models.
constexpr OpSizes kGpuSizes[] = {
    {.B = 1, .T = 1, .D = 6, .H = 3, .H_kv = 1, .F = 1, .V = 2, .M = 1, .N = 1},
    {.B = 3, .T = 37, .D = 36, .H = 6, .H_kv = 2, .F = 19, .V = 101, .M = 7, .N = 3},
    {.B = 2, .T = 384, .D = 768, .H = 12, .H_kv = 12, .F = 2048, .V = 4099, .M = 1024, .N = 3}};

class OpsOnGpu : public testing::GpuTest<::testing::TestWithParam<at::ScalarType>> {};

TEST_P(OpsOnGpu, FusedAndReferenceAgreeInValueAndGradients) {
  for (const auto& sizes : kGpuSizes) {
    for (const auto& op : op_cases(sizes, GetParam(), gpu_)) {
      EXPECT_LE(largest_difference(op), allowed_difference(GetParam())) << op.name;
    }
  }
}

TEST_P(OpsOnGpu, GiveWhatTheDefinitionGivesOnTheCpu) {
  const KernelsScope definitions(Kernels::kReference);
  const auto here = op_cases(kGpuSizes[1], GetParam());
  const auto there = op_cases(kGpuSizes[1], GetParam(), gpu_);
  for (size_t i = 0; i < here.size(); ++i) {
    const auto expected = result_and_gradients(here[i]);
    set_kernels(Kernels::kFused);
    const auto all = result_and_gradients(there[i]);
    set_kernels(Kernels::kReference);
    for (size_t k = 0; k < all.size(); ++k) {
      const auto exact = expected[k].to(at::kFloat);
      const auto off = (all[k].to(at::kCPU, at::kFloat) - exact).abs().max().item<double>();
      EXPECT_LE(off, allowed_difference(GetParam()) * exact.abs().max().item<double>())
          << here[i].name << ", tensor " << k;
    }
  }
}

TEST_P(OpsOnGpu, GiveTheSameBitsTwice) {
  for (const auto& op : op_cases(kGpuSizes[2], GetParam(), gpu_)) {
    const auto first = result_and_gradients(op);
    const auto second = result_and_gradients(op);
    for (size_t k = 0; k < first.size(); ++k) {
      const bool same = first[k].eq(second[k]).all().item<bool>();
      // LibTorch's attention adds up in any order outside of a step (train/device.h).
      EXPECT_TRUE(same || op.name.starts_with("self_attention")) << op.name << ", tensor " << k;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, OpsOnGpu, ::testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& dtype) {
                           return dtype.param == at::kFloat ? "fp32" : "bf16";
                         });

}  // namespace
}  // namespace loopbank::ops
