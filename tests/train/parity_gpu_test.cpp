/// The golden files of the PyTorch twin against our model on a GPU.

#include <ATen/Context.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "parity_case.h"

namespace loopbank::testing {
namespace {

// Products of fp32 on a GPU may sum in another order and in several parts.
constexpr ParityTolerance kGpuFp32Tolerance{.logits = 2e-5,
                                            .loss = 1e-5,
                                            .gradients = 2e-4,
                                            .losses = 2e-5,
                                            .trained = 1e-2,
                                            .zero_gradient = 1e-6};

class ParityOnGpu : public ::testing::TestWithParam<const char*> {};

TEST_P(ParityOnGpu, OutputsGradientsAndOptimizerSteps) {
  if (!at::hasCUDA()) {
    GTEST_SKIP() << "LibTorch finds no GPU";
  }
  const char* const elsewhere = std::getenv("LOOPBANK_GOLDEN");  // scripts/gpu-check
  const auto folder =
      elsewhere != nullptr ? std::string(elsewhere) : LOOPBANK_SOURCE_DIR "/tests/golden";
  const auto twin = read_parity_case(folder + "/" + GetParam() + ".safetensors");
  const at::Device gpu(at::kCUDA, 0);
  {
    SCOPED_TRACE("fp32");
    expect_same_outputs(twin, at::kFloat, kGpuFp32Tolerance, gpu);
    expect_same_training(twin, at::kFloat, kGpuFp32Tolerance, gpu);
  }
  SCOPED_TRACE("bf16");
  expect_same_outputs(twin, at::kBFloat16, kBf16Tolerance, gpu);
  expect_same_training(twin, at::kBFloat16, kBf16Tolerance, gpu);
}

INSTANTIATE_TEST_SUITE_P(Systems, ParityOnGpu, ::testing::Values("isopar", "loop3"),
                         parity_test_name);
INSTANTIATE_TEST_SUITE_P(Memory, ParityOnGpu, ::testing::Values("mem-g3"), parity_test_name);

}  // namespace
}  // namespace loopbank::testing
