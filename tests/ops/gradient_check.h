#pragma once
/// What the tests of the ops share: fixed random inputs, comparison with exact values, gradients
/// against central differences. Every failed comparison prints max abs, max rel, where, and the
/// seed.

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "loopbank/ops/check.h"
#include "loopbank/support/error.h"

namespace loopbank::testing {

/// The seed of every random input, so that a failure can be replayed.
inline constexpr uint64_t kSeed = 20260308;

/// Sizes around the widths of vector registers, and ragged ones.
inline constexpr int64_t kSizes[] = {1, 7, 8, 9, 15, 16, 17, 37};

/// The dtypes that ops take.
inline constexpr at::ScalarType kDtypes[] = {at::kFloat, at::kBFloat16, at::kDouble};

/// Those that their fused versions take.
inline constexpr at::ScalarType kFusedDtypes[] = {at::kFloat, at::kBFloat16};

/// What norms add to a mean square.
inline constexpr double kEps = 1e-5;

/// The target that a cross-entropy leaves out.
inline constexpr int64_t kIgnore = -100;

/// A stream of random tensors from kSeed.
class RandomTensors {
 public:
  RandomTensors();
  /// Standard normal values, rounded to `dtype`.
  at::Tensor normal(at::IntArrayRef shape, at::ScalarType dtype = at::kDouble);

 private:
  at::Generator generator_;
};

/// The same values with gaps of NaN between them, so that a read past a stride shows.
at::Tensor with_gaps(const at::Tensor& x);

/// The elements in row-major order, exactly, as fp64.
std::vector<double> values_of(const at::Tensor& x);

/// 1 / (1 + e^-x), of a number.
double sigmoid_by_hand(double x);

/// Whether shapes are equal and |actual - expected| <= tolerance * max(1, |expected|) everywhere.
::testing::AssertionResult is_close(const at::Tensor& actual, const at::Tensor& expected,
                                    double tolerance);

/// Fails unless is_close.
void expect_close(const at::Tensor& actual, const at::Tensor& expected, double tolerance);

/// The same with expected values in row-major order, worked out by the test.
void expect_close(const at::Tensor& actual, const std::vector<double>& expected, double tolerance);

/// Fails unless both are of one dtype and shape each and lie within tolerance * the largest
/// expected value.
void expect_near_largest(const std::vector<at::Tensor>& actual,
                         const std::vector<at::Tensor>& expected, double tolerance);

using TensorFunction = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

/// How far a gradient by autograd may lie from the central difference, as in is_close.
inline constexpr double kGradientTolerance = 1e-7;

/// Whether autograd's gradient of `function`, in every element of every input, is the central
/// difference. The result is weighed with fixed random numbers, so that all its elements count.
/// @param inputs  fp64
::testing::AssertionResult gradients_match(const TensorFunction& function,
                                           const std::vector<at::Tensor>& inputs);

/// Fails unless gradients_match.
void expect_gradients_match(const TensorFunction& function, const std::vector<at::Tensor>& inputs);

/// Fails unless `call` throws an Error with this code and exactly this text.
void expect_error(ErrorCode code, const std::string& text, const std::function<void()>& call);

}  // namespace loopbank::testing
