#include "loopbank/ops/rotary.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>

#include "gradient_check.h"

namespace loopbank::ops {
namespace {

using testing::expect_close;
using testing::expect_error;
using testing::expect_gradients_match;
using testing::is_close;
using testing::kDtypes;
using testing::kEps;
using testing::kSizes;
using testing::RandomTensors;
using testing::values_of;
using testing::with_gaps;

constexpr double kBase = 500000.0;

double angle_by_hand(int64_t position, int64_t pair, int64_t head_size) {
  const double exponent = -2.0 * static_cast<double>(pair) / static_cast<double>(head_size);
  return static_cast<double>(position) * std::exp(exponent * std::log(kBase));
}

RotaryTable table_of(int64_t first, int64_t count, int64_t head_size) {
  return rotary_table(first, count, head_size, kBase, at::kCPU);
}

/// Rotates pairs (i, i + d/2) of [B, H, T, d] by the exact angles from position `first` on, then
/// norms each head.
std::vector<double> rotate_by_hand(const at::Tensor& x, int64_t first, const at::Tensor& weight) {
  const auto in = values_of(x);
  const auto w = values_of(weight);
  const auto width = static_cast<size_t>(x.size(3));
  const auto steps = static_cast<size_t>(x.size(2));
  std::vector<double> y(in.size());
  for (size_t row = 0; row < in.size() / width; ++row) {
    const double* const head = &in[row * width];
    double* const out = &y[row * width];
    const auto position = first + static_cast<int64_t>(row % steps);
    double squares = 0.0;
    for (size_t i = 0; i < width / 2; ++i) {
      const double angle = angle_by_hand(position, static_cast<int64_t>(i), x.size(3));
      out[i] = head[i] * std::cos(angle) - head[i + width / 2] * std::sin(angle);
      out[i + width / 2] = head[i + width / 2] * std::cos(angle) + head[i] * std::sin(angle);
      squares += out[i] * out[i] + out[i + width / 2] * out[i + width / 2];
    }
    for (size_t i = 0; i < width; ++i) {
      out[i] *= w[i] / std::sqrt(squares / static_cast<double>(width) + kEps);
    }
  }
  return y;
}

TEST(RotaryTable, AnglesAreExactAtPosition4095AndBeyond) {
  for (const int64_t head_size : {2, 14, 64, 128}) {
    for (const int64_t first : {0, 1, 4095, 4096, 32767, 131071, 1000000}) {
      const auto table = table_of(first, 3, head_size);
      std::vector<double> cosines;
      std::vector<double> sines;
      for (int64_t position = first; position < first + 3; ++position) {
        for (int64_t pair = 0; pair < head_size / 2; ++pair) {
          cosines.push_back(std::cos(angle_by_hand(position, pair, head_size)));
          sines.push_back(std::sin(angle_by_hand(position, pair, head_size)));
        }
      }
      EXPECT_EQ(table.cosines.scalar_type(), at::kFloat);
      EXPECT_EQ(table.sines.scalar_type(), at::kFloat);
      EXPECT_EQ(table.cosines.sizes(), at::IntArrayRef({3, head_size / 2}));
      expect_close(table.cosines, cosines, kRotaryTableTolerance);
      expect_close(table.sines, sines, kRotaryTableTolerance);
    }
  }
}

TEST(RotaryTable, ALaterStartIsAPartOfTheFullTable) {
  const auto full = table_of(0, 4096, 64);
  const auto part = table_of(4000, 96, 64);
  EXPECT_TRUE(part.cosines.equal(full.cosines.narrow(0, 4000, 96)));
  EXPECT_TRUE(part.sines.equal(full.sines.narrow(0, 4000, 96)));
}

TEST(RotaryNorm, IsTheFormulaInEveryDtypeAndSize) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    for (const auto size : kSizes) {
      const int64_t width = size + size % 2;  // pairs
      const auto x = random.normal({2, 3, size, width}, dtype);
      const auto weight = random.normal({width}, at::kFloat);
      const auto table = table_of(5, size, width);
      const auto y = rotary_norm(x, table, weight, kEps);
      EXPECT_EQ(y.scalar_type(), dtype);
      EXPECT_EQ(y.sizes(), x.sizes());
      // The table is fp32, so fp64 input is no better than that against exact angles.
      const double tolerance = std::max(kRotaryNormTolerance.of(dtype), 10 * kRotaryTableTolerance);
      expect_close(y, rotate_by_hand(x, 5, weight), tolerance);
      expect_close(rotary_norm(with_gaps(x), table, with_gaps(weight), kEps),
                   rotate_by_hand(x, 5, weight), tolerance);
      // Queries come as a view of [B, T, H, d].
      const auto view = x.transpose(1, 2).contiguous().transpose(1, 2);
      expect_close(rotary_norm(view, table, weight, kEps), rotate_by_hand(x, 5, weight), tolerance);
    }
  }
}

TEST(RotaryNorm, Bf16InputDoesNotRoundTheAngles) {
  constexpr int64_t kPosition = 4095;
  constexpr int64_t kWidth = 64;
  // Rounded to bf16, the angle 4095 of the first pair would be 4096, a radian off.
  double worst = 0.0;
  for (int64_t pair = 0; pair < kWidth / 2; ++pair) {
    const double angle = angle_by_hand(kPosition, pair, kWidth);
    worst = std::max(
        worst, std::abs(angle - static_cast<double>(c10::BFloat16(static_cast<float>(angle)))));
  }
  ASSERT_GT(worst, 0.9);
  RandomTensors random;
  const auto x = random.normal({1, 2, 1, kWidth}, at::kBFloat16);
  const auto weight = random.normal({kWidth}, at::kFloat);
  expect_close(rotary_norm(x, table_of(kPosition, 1, kWidth), weight, kEps),
               rotate_by_hand(x, kPosition, weight), kRotaryNormTolerance.bf16);
}

TEST(RotaryNorm, PairsAreHalfAHeadApart) {
  const auto x = at::tensor({1.0, 0.0, 0.0, 0.0}, at::kDouble).view({1, 1, 1, 4});
  const auto y = rotary_norm(x, table_of(1, 1, 4), at::ones({4}), 0.0);
  // One unit on axis 0 turns by 1 rad towards axis 2; the norm makes its length sqrt 4.
  expect_close(y, {2 * std::cos(1.0), 0.0, 2 * std::sin(1.0), 0.0}, 10 * kRotaryTableTolerance);
}

TEST(RotaryNorm, ScoresDependOnTheDistanceOnly) {
  RandomTensors random;
  const auto query = random.normal({1, 1, 1, 16});
  const auto key = random.normal({1, 1, 1, 16});
  const auto weight = at::ones({16});
  const auto score = [&](int64_t query_position, int64_t key_position) {
    const auto q = rotary_norm(query, table_of(query_position, 1, 16), weight, kEps);
    const auto k = rotary_norm(key, table_of(key_position, 1, 16), weight, kEps);
    return (q * k).sum();
  };
  expect_close(score(4095, 4088), score(7, 0), 1e-6);
  EXPECT_FALSE(is_close(score(4095, 4087), score(7, 0), 1e-2));
}

TEST(RotaryNorm, GradientsMatch) {
  RandomTensors random;
  for (const int64_t width : {2, 8, 10}) {
    const auto table = table_of(3, 4, width);
    expect_gradients_match([&](const auto& in) { return rotary_norm(in[0], table, in[1], kEps); },
                           {random.normal({1, 2, 4, width}), random.normal({width})});
  }
}

TEST(RotaryNorm, RefusesAnglesOrAWeightThatDoNotFit) {
  const auto x = at::zeros({1, 2, 4, 8});
  const auto weight = at::ones({8});
  expect_error(ErrorCode::kShape, "rotary_norm: expected cosines of shape [4, 4], got [5, 4].",
               [&] { rotary_norm(x, table_of(0, 5, 8), weight, kEps); });
  expect_error(ErrorCode::kShape, "rotary_norm: expected cosines of shape [4, 4], got [4, 3].",
               [&] { rotary_norm(x, table_of(0, 4, 6), weight, kEps); });
  expect_error(ErrorCode::kShape, "rotary_norm: expected sines of shape [4, 4], got [1, 4].", [&] {
    rotary_norm(x, {table_of(0, 4, 8).cosines, table_of(0, 1, 8).sines}, weight, kEps);
  });
  expect_error(ErrorCode::kShape, "rotary_norm: expected weight of shape [8], got [6].",
               [&] { rotary_norm(x, table_of(0, 4, 8), at::ones({6}), kEps); });
  expect_error(ErrorCode::kShape, "rotary_norm: expected heads of even width (pairs), got 7.", [&] {
    rotary_norm(at::zeros({1, 2, 4, 7}), table_of(0, 4, 6), at::ones({7}), kEps);
  });
}

}  // namespace
}  // namespace loopbank::ops
