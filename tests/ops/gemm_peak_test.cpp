#include "loopbank/ops/gemm/gemm_peak.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "loopbank/ops/gemm/matrix_product.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

/// FLOP/s of a plain product of 512 x 512 in ATen, the best of a few.
double plain_rate(at::ScalarType dtype) {
  const auto a = at::ones({512, 512}, at::TensorOptions().dtype(dtype));
  double best = 1e30;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const auto c = matrix_product(a, a);
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return 2.0 * 512 * 512 * 512 / best;
}

TEST(GemmPeak, IsAtLeastNearWhatAPlainProductReaches) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const double peak = measure_gemm_peak(dtype, at::kCPU);
    // The machine may be busy, so only the size of the figure is checked: a rate in GFLOP/s, a
    // count of multiply-adds of another shape or a time in place of a rate would be far off.
    EXPECT_GT(peak, 0.3 * plain_rate(dtype)) << c10::toString(dtype);
    EXPECT_LT(peak, 1e15) << c10::toString(dtype);
  }
}

TEST(GemmPeak, RefusesADtypeThatNobodyTrainsIn) {
  try {
    (void)measure_gemm_peak(at::kLong, at::kCPU);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDtype);
    EXPECT_EQ(std::string(error.what()),
              "measure_gemm_peak: expected Float or BFloat16, got Long.");
  }
}

}  // namespace
}  // namespace loopbank::ops
