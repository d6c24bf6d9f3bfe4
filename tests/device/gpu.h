#pragma once
/// The GPU of tests labelled gpu, or the reason to skip them.

#include <ATen/Context.h>
#include <gtest/gtest.h>

namespace loopbank::testing {

/// A fixture whose tests run where LibTorch finds a GPU; its name ends in OnGpu.
template <typename Base = ::testing::Test>
class GpuTest : public Base {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) {
      GTEST_SKIP() << "LibTorch finds no GPU";
    }
  }
  const at::Device gpu_{at::kCUDA, 0};
};

}  // namespace loopbank::testing
