#include "gradient_check.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace loopbank::testing {
namespace {

/// `[1, 0, 3]`, the place of a row-major index in a tensor of this shape.
std::string place_of(int64_t index, at::IntArrayRef shape) {
  std::vector<int64_t> place(shape.size());
  for (size_t axis = shape.size(); axis-- > 0;) {
    place[axis] = index % shape[axis];
    index /= shape[axis];
  }
  return ops::format_shape(place);
}

/// The sum over elements of result * weights, as the number that is differentiated.
at::Tensor weighed(const at::Tensor& result) {
  return (result * RandomTensors().normal(result.sizes())).sum();
}

at::Tensor central_difference(const TensorFunction& function, std::vector<at::Tensor> inputs,
                              size_t input) {
  const at::NoGradGuard no_grad;
  constexpr double kStep = 1e-5;
  inputs[input] = inputs[input].clone(at::MemoryFormat::Contiguous);
  auto gradient = at::empty(inputs[input].sizes(), at::kDouble);
  auto* const element = inputs[input].data_ptr<double>();
  auto* const values = gradient.data_ptr<double>();
  for (int64_t i = 0; i < gradient.numel(); ++i) {
    const double value = element[i];
    element[i] = value + kStep;
    const double above = weighed(function(inputs)).item<double>();
    element[i] = value - kStep;
    const double below = weighed(function(inputs)).item<double>();
    element[i] = value;
    values[i] = (above - below) / (2 * kStep);
  }
  return gradient;
}

}  // namespace

RandomTensors::RandomTensors() : generator_(at::detail::createCPUGenerator(kSeed)) {}

at::Tensor RandomTensors::normal(at::IntArrayRef shape, at::ScalarType dtype) {
  return at::randn(shape, generator_, at::kDouble).to(dtype);
}

at::Tensor with_gaps(const at::Tensor& x) {
  const auto gaps = at::full_like(x, std::nan(""));
  return at::stack({x, gaps}, -1).select(-1, 0);
}

std::vector<double> values_of(const at::Tensor& x) {
  const auto flat = x.detach().to(at::kCPU, at::kDouble).contiguous();
  const auto* const first = flat.data_ptr<double>();
  return {first, first + flat.numel()};
}

double sigmoid_by_hand(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}

::testing::AssertionResult is_close(const at::Tensor& actual, const at::Tensor& expected,
                                    double tolerance) {
  if (actual.sizes() != expected.sizes()) {
    return ::testing::AssertionFailure()
           << fmt::format("shape {}, expected {} (seed {})", ops::format_shape(actual.sizes()),
                          ops::format_shape(expected.sizes()), kSeed);
  }
  const auto got = values_of(actual);
  const auto want = values_of(expected);
  double max_abs = 0.0;
  double max_rel = 0.0;
  double worst = 0.0;  // in units of what is allowed
  size_t where = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double off = got[i] == want[i] ? 0.0 : std::abs(got[i] - want[i]);
    const double excess =
        std::isnan(off) ? INFINITY : off / (tolerance * std::max(1.0, std::abs(want[i])));
    max_abs = std::isnan(off) ? NAN : std::max(off, max_abs);
    max_rel = off == 0.0 ? max_rel : std::max(max_rel, off / std::abs(want[i]));
    if (off != 0.0 && excess > worst) {
      worst = excess;
      where = i;
    }
  }
  if (worst <= 1.0) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << fmt::format(
             "max abs {:.3g}, max rel {:.3g} (tolerance {:.3g}), worst at {}: {:.9g}, "
             "expected {:.9g} (seed {})",
             max_abs, max_rel, tolerance, place_of(static_cast<int64_t>(where), actual.sizes()),
             got[where], want[where], kSeed);
}

void expect_close(const at::Tensor& actual, const at::Tensor& expected, double tolerance) {
  EXPECT_TRUE(is_close(actual, expected, tolerance));
}

void expect_close(const at::Tensor& actual, const std::vector<double>& expected, double tolerance) {
  ASSERT_EQ(actual.numel(), static_cast<int64_t>(expected.size()));
  expect_close(actual, at::tensor(expected, at::kDouble).reshape(actual.sizes()), tolerance);
}

void expect_near_largest(const std::vector<at::Tensor>& actual,
                         const std::vector<at::Tensor>& expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(actual[i].scalar_type(), expected[i].scalar_type());
    ASSERT_EQ(actual[i].sizes(), expected[i].sizes());
    const double largest = expected[i].abs().max().item<double>();
    expect_close(actual[i] / largest, expected[i] / largest, tolerance);
  }
}

::testing::AssertionResult gradients_match(const TensorFunction& function,
                                           const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> leaves;
  for (const auto& input : inputs) {
    leaves.push_back(input.detach().clone().requires_grad_(true));
  }
  const auto loss = weighed(function(leaves));
  if (!loss.requires_grad()) {
    return ::testing::AssertionFailure() << "the result carries no gradient at all";
  }
  loss.backward();
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!leaves[i].grad().defined()) {
      return ::testing::AssertionFailure() << "no gradient reaches input " << i;
    }
    const auto gradient = central_difference(function, inputs, i);
    if (auto match = is_close(leaves[i].grad(), gradient, kGradientTolerance); !match) {
      return ::testing::AssertionFailure() << "gradient of input " << i << ": " << match.message();
    }
  }
  return ::testing::AssertionSuccess();
}

void expect_gradients_match(const TensorFunction& function, const std::vector<at::Tensor>& inputs) {
  EXPECT_TRUE(gradients_match(function, inputs));
}

void expect_error(ErrorCode code, const std::string& text, const std::function<void()>& call) {
  try {
    call();
    ADD_FAILURE() << "no error, expected: " << text;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    EXPECT_EQ(std::string(error.what()), text);
  }
}

}  // namespace loopbank::testing
