#include "loopbank/ops/norm.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>

#include "gradient_check.h"

namespace loopbank::ops {
namespace {

using testing::expect_close;
using testing::expect_error;
using testing::expect_gradients_match;
using testing::kDtypes;
using testing::kEps;
using testing::kSizes;
using testing::RandomTensors;
using testing::values_of;
using testing::with_gaps;

/// x / sqrt(mean(x^2) + eps) * w, row by row.
std::vector<double> rms_by_hand(const at::Tensor& x, const at::Tensor& weight) {
  auto y = values_of(x);
  const auto w = values_of(weight);
  for (size_t row = 0; row < y.size(); row += w.size()) {
    double squares = 0.0;
    for (size_t i = 0; i < w.size(); ++i) {
      squares += y[row + i] * y[row + i];
    }
    const double root = std::sqrt(squares / static_cast<double>(w.size()) + kEps);
    for (size_t i = 0; i < w.size(); ++i) {
      y[row + i] *= w[i] / root;
    }
  }
  return y;
}

/// (x - mean) / sqrt(var + eps) * w + b, row by row, in two passes.
std::vector<double> layer_by_hand(const at::Tensor& x, const at::Tensor& weight,
                                  const at::Tensor& bias) {
  auto y = values_of(x);
  const auto w = values_of(weight);
  const auto b = values_of(bias);
  const auto width = static_cast<double>(w.size());
  for (size_t row = 0; row < y.size(); row += w.size()) {
    double mean = 0.0;
    for (size_t i = 0; i < w.size(); ++i) {
      mean += y[row + i] / width;
    }
    double variance = 0.0;
    for (size_t i = 0; i < w.size(); ++i) {
      variance += (y[row + i] - mean) * (y[row + i] - mean) / width;
    }
    for (size_t i = 0; i < w.size(); ++i) {
      y[row + i] = (y[row + i] - mean) / std::sqrt(variance + kEps) * w[i] + b[i];
    }
  }
  return y;
}

TEST(RmsNorm, IsTheFormulaInEveryDtypeAndSize) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    for (const auto width : kSizes) {
      const auto x = random.normal({2, 3, width}, dtype);
      const auto weight = random.normal({width}, at::kFloat);
      const auto y = rms_norm(x, weight, kEps, dtype);
      EXPECT_EQ(y.scalar_type(), dtype);
      EXPECT_EQ(y.sizes(), x.sizes());
      expect_close(y, rms_by_hand(x, weight), kRmsNormTolerance.of(dtype));
      expect_close(rms_norm(with_gaps(x), with_gaps(weight), kEps, dtype), rms_by_hand(x, weight),
                   kRmsNormTolerance.of(dtype));
    }
  }
}

TEST(RmsNorm, TakesAnyNumberOfAxes) {
  RandomTensors random;
  const auto weight = random.normal({9});
  for (const auto& shape : std::vector<std::vector<int64_t>>{{9}, {0, 9}, {2, 1, 3, 9}}) {
    const auto x = random.normal(shape);
    const auto y = rms_norm(x, weight, kEps, at::kDouble);
    EXPECT_EQ(y.sizes(), x.sizes());
    expect_close(y, rms_by_hand(x, weight), kRmsNormTolerance.fp64);
  }
}

TEST(RmsNorm, Bf16InputIsNormedInFp32) {
  RandomTensors random;
  const auto x = random.normal({4, 768}, at::kBFloat16);
  const auto weight = random.normal({768}, at::kFloat);
  expect_close(rms_norm(x, weight, kEps, at::kFloat), rms_by_hand(x, weight),
               kRmsNormTolerance.fp32);
}

TEST(RmsNorm, RoundsToTheTypeThatIsAskedFor) {
  RandomTensors random;
  const auto x = random.normal({4, 17}, at::kFloat);
  const auto weight = at::ones({17});
  EXPECT_EQ(rms_norm(x, weight, kEps, at::kBFloat16).scalar_type(), at::kBFloat16);
  expect_close(rms_norm(x, weight, kEps, at::kBFloat16), rms_by_hand(x, weight),
               kRmsNormTolerance.bf16);
}

TEST(RmsNorm, EpsKeepsARowOfZerosFinite) {
  const auto x = at::zeros({2, 8}, at::kFloat).requires_grad_(true);
  const auto y = rms_norm(x, at::ones({8}), kEps, at::kFloat);
  y.sum().backward();
  expect_close(y, at::zeros({2, 8}), 0.0);
  expect_close(x.grad(), at::full({2, 8}, 1.0 / std::sqrt(kEps)), kRmsNormTolerance.fp32);
}

TEST(RmsNorm, GradientsMatch) {
  RandomTensors random;
  for (const auto width : {1, 8, 9}) {
    expect_gradients_match([](const auto& in) { return rms_norm(in[0], in[1], kEps, at::kDouble); },
                           {random.normal({2, 3, width}), random.normal({width})});
  }
}

TEST(RmsNorm, RefusesAWeightOfAnotherWidth) {
  expect_error(ErrorCode::kShape, "rms_norm: expected weight of shape [8], got [7].", [] {
    rms_norm(at::zeros({2, 8}), at::ones({7}), kEps, at::kFloat);
  });
  // One weight for all would be broadcast without a word.
  expect_error(ErrorCode::kShape, "rms_norm: expected weight of shape [8], got [1].", [] {
    rms_norm(at::zeros({2, 8}), at::ones({1}), kEps, at::kFloat);
  });
}

TEST(LayerNorm, IsTheFormulaInEveryDtypeAndSize) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    for (const auto width : kSizes) {
      const auto x = random.normal({2, 3, width}, dtype);
      const auto weight = random.normal({width}, at::kFloat);
      const auto bias = random.normal({width}, at::kFloat);
      const auto y = layer_norm(x, weight, bias, kEps, dtype);
      EXPECT_EQ(y.scalar_type(), dtype);
      EXPECT_EQ(y.sizes(), x.sizes());
      expect_close(y, layer_by_hand(x, weight, bias), kLayerNormTolerance.of(dtype));
      expect_close(layer_norm(with_gaps(x), with_gaps(weight), with_gaps(bias), kEps, dtype),
                   layer_by_hand(x, weight, bias), kLayerNormTolerance.of(dtype));
    }
  }
}

TEST(LayerNorm, Bf16InputIsNormedInFp32) {
  RandomTensors random;
  const auto x = random.normal({4, 768}, at::kBFloat16);
  const auto weight = random.normal({768}, at::kFloat);
  const auto bias = random.normal({768}, at::kFloat);
  expect_close(layer_norm(x, weight, bias, kEps, at::kFloat), layer_by_hand(x, weight, bias),
               kLayerNormTolerance.fp32);
}

TEST(LayerNorm, ALargeMeanDoesNotDrownTheVariance) {
  // mean(x^2) - mean(x)^2 would lose all but one digit of the variance here.
  const auto x = (RandomTensors().normal({4, 256}) + 1000.0).to(at::kFloat);
  const auto weight = at::ones({256});
  const auto bias = at::zeros({256});
  expect_close(layer_norm(x, weight, bias, kEps, at::kFloat), layer_by_hand(x, weight, bias), 2e-4);
}

TEST(LayerNorm, ARowOfEqualValuesGivesTheBias) {
  const auto bias = RandomTensors().normal({9}, at::kFloat);
  const auto y = layer_norm(at::full({2, 9}, 3.0), at::ones({9}), bias, kEps, at::kFloat);
  expect_close(y, bias.expand({2, 9}), kLayerNormTolerance.fp32);
}

TEST(LayerNorm, GradientsMatch) {
  RandomTensors random;
  for (const auto width : {1, 8, 9}) {
    expect_gradients_match(
        [](const auto& in) { return layer_norm(in[0], in[1], in[2], kEps, at::kDouble); },
        {random.normal({2, 3, width}), random.normal({width}), random.normal({width})});
  }
}

TEST(LayerNorm, RefusesAWeightOrABiasOfAnotherWidth) {
  const auto x = at::zeros({2, 8});
  expect_error(ErrorCode::kShape, "layer_norm: expected weight of shape [8], got [9].",
               [&] { layer_norm(x, at::ones({9}), at::zeros({8}), kEps, at::kFloat); });
  expect_error(ErrorCode::kShape, "layer_norm: expected bias of shape [8], got [1, 8].", [&] {
    layer_norm(x, at::ones({8}), at::zeros({1, 8}), kEps, at::kFloat);
  });
}

}  // namespace
}  // namespace loopbank::ops
