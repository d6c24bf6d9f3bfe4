#include "loopbank/ops/quantization.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "gradient_check.h"

namespace loopbank::ops {
namespace {

using testing::expect_error;
using testing::RandomTensors;

constexpr int64_t kBothBits[] = {8, 4};

/// [out, in]: single ones, around a group of 32 and two of them, odd, many.
constexpr int64_t kQuantizedShapes[][2] = {{1, 1},  {3, 2},  {2, 31}, {5, 32},
                                           {4, 33}, {9, 63}, {7, 64}, {40, 1000}};

at::Tensor row(const std::vector<double>& values) {
  return at::tensor(values).to(at::kFloat).unsqueeze(0);
}

double error_of(const at::Tensor& master, const at::Tensor& values) {
  return (master.to(at::kDouble) - values.to(at::kDouble)).square().sum().item<double>();
}

/// Matrices of many kinds: normal, with outliers, sparse, of whole numbers (many equal magnitudes of
/// both signs, and groups that lie on a grid), tiny, huge and 0.
std::vector<at::Tensor> matrices(RandomTensors& random, int64_t out, int64_t in) {
  const auto draw = [&] { return random.normal({out, in}, at::kFloat); };
  const auto normal = draw();
  return {normal * 0.02,
          draw() * draw() * draw(),
          draw().clamp_min(1.0) - 1.0,
          (draw() * 2.0).round(),
          (draw() * 3.0).round() * -0.0625,
          draw().sign() * 0.7,
          normal * 1e-20,
          normal * 1e-32,
          normal * 1e-40,
          normal * 1e30,
          at::zeros({out, in})};
}

TEST(Quantization, RoundsEightBitToTheNearestOf127StepsOfItsGroup) {
  // 127 / 128 is a scale of bf16, so nothing is rounded but the codes.
  const double scale = 127.0 / 128.0;
  std::vector<double> values(33, 0.0);
  values[0] = 127 * scale;
  values[1] = -126.6 * scale;
  values[2] = 0.49 * scale;
  values[3] = -0.51 * scale;
  values[32] = -127.0;  // the second group
  const auto q = quantize(row(values), 8);
  EXPECT_EQ(q.codes.sizes(), at::IntArrayRef({1, 33}));
  EXPECT_EQ(q.codes.scalar_type(), at::kChar);
  EXPECT_EQ(q.scales.sizes(), at::IntArrayRef({1, 2}));
  EXPECT_EQ(q.scales[0][0].item<double>(), scale);
  EXPECT_EQ(q.scales[0][1].item<double>(), 1.0);
  const auto* const codes = q.codes.data_ptr<int8_t>();
  EXPECT_EQ(codes[0], 127);
  EXPECT_EQ(codes[1], -127);
  EXPECT_EQ(codes[2], 0);
  EXPECT_EQ(codes[3], -1);
  EXPECT_EQ(codes[32], -127);
}

TEST(Quantization, PacksTwoCodesOfFourBitAByteAndGivesThePeakANegativeOne) {
  const auto q = quantize(row({7.0, -4.0, 0.0, 1.0, -5.0}), 4);
  EXPECT_EQ(q.codes.sizes(), at::IntArrayRef({1, 3}));
  EXPECT_EQ(q.codes.scalar_type(), at::kByte);
  EXPECT_EQ(q.scales[0][0].item<double>(), -1.0);
  const auto* const bytes = q.codes.data_ptr<uint8_t>();
  EXPECT_EQ(bytes[0] & 15, -7 + 8);
  EXPECT_EQ(bytes[0] >> 4, 4 + 8);
  EXPECT_EQ(bytes[1] & 15, 0 + 8);
  EXPECT_EQ(bytes[1] >> 4, -1 + 8);
  EXPECT_EQ(bytes[2] & 15, 5 + 8);
  EXPECT_EQ(bytes[2] >> 4, 0 + 8);  // beyond the end
}

TEST(Quantization, KeepsValuesThatLieOnAGridOfFourBitWithItsWidestScale) {
  const auto values = row({0.5, -1.0, 1.5, 4.0, 0.0, -3.0});
  const auto q = quantize(values, 4);
  EXPECT_TRUE(dequantize(q).equal(values));
  EXPECT_EQ(q.scales[0][0].item<double>(), -0.5);
  const auto even = quantize(values * 2.0, 4);
  EXPECT_EQ(even.scales[0][0].item<double>(), -1.0);
  EXPECT_TRUE(even.codes.equal(q.codes));
}

TEST(Quantization, GivesBackBitForBitWhatWasQuantizedOnce) {
  RandomTensors random;
  for (const auto& [out, in] : kQuantizedShapes) {
    for (const auto& matrix : matrices(random, out, in)) {
      for (const auto bits : kBothBits) {
        const auto once = quantize(matrix, bits);
        const auto values = dequantize(once);
        const auto twice = quantize(values, bits);
        EXPECT_TRUE(twice.codes.equal(once.codes))
            << bits << " bit of [" << out << ", " << in << "]";
        EXPECT_TRUE(twice.scales.equal(once.scales))
            << bits << " bit of [" << out << ", " << in << "]";
        EXPECT_TRUE(dequantize(twice).equal(values));
      }
    }
  }
}

TEST(Quantization, StaysWithinHalfAStepInEightBit) {
  RandomTensors random;
  const auto master = random.normal({50, 320}, at::kFloat);
  const auto q = quantize(master, 8);
  const auto step = q.scales.to(at::kFloat).repeat_interleave(kQuantizationGroup, 1);
  // The scale's own rounding, 2^-9 of it, moves the largest of a group by a quarter of a step.
  const auto off = (dequantize(q) - master).abs() / step;
  EXPECT_LE(off.max().item<double>(), 0.501);
  EXPECT_GT(off.mean().item<double>(), 0.2);
}

TEST(Quantization, FindsAScaleOfFourBitThatIsNoWorseThanThePeakAtMinusEight) {
  RandomTensors random;
  const auto master = random.normal({200, 32}, at::kFloat);
  const auto peak = master.gather(1, master.abs().argmax(1, true));  // [200, 1]
  const auto step = (peak / -8.0).to(at::kBFloat16).to(at::kFloat);
  const auto plain = (master / step).round().clamp(-8.0, 7.0) * step;
  const auto found = dequantize(quantize(master, 4));
  for (int64_t r = 0; r < master.size(0); ++r) {
    EXPECT_LE(error_of(master[r], found[r]), 1.02 * error_of(master[r], plain[r])) << "row " << r;
  }
  EXPECT_LT(error_of(master, found), 0.92 * error_of(master, plain));
}

TEST(Quantization, HasProductsOfScaleAndCodeWithoutRounding) {
  RandomTensors random;
  const auto master = random.normal({20, 64}, at::kFloat);
  const auto q = quantize(master, 8);
  const auto exact =
      q.codes.to(at::kDouble) * q.scales.to(at::kDouble).repeat_interleave(kQuantizationGroup, 1);
  EXPECT_TRUE(dequantize(q).to(at::kDouble).equal(exact));
}

TEST(Quantization, TakesMatricesWithGapsAndAnyNumberOfThreads) {
  RandomTensors random;
  const auto wide = random.normal({96, 100}, at::kFloat);
  const auto threads = at::get_num_threads();
  for (const auto bits : kBothBits) {
    const auto whole = quantize(wide.t().contiguous(), bits);
    at::set_num_threads(1);
    const auto by_stride = quantize(wide.t(), bits);
    at::set_num_threads(threads);
    EXPECT_TRUE(by_stride.codes.equal(whole.codes));
    EXPECT_TRUE(by_stride.scales.equal(whole.scales));
  }
}

TEST(Quantization, TakesFourAndAHalfAndEightAndAHalfBitsAWeight) {
  EXPECT_EQ(quantize(at::ones({64, 256}), 8).bytes() * 8, 64 * 256 * 17 / 2);
  EXPECT_EQ(quantize(at::ones({64, 256}), 4).bytes() * 8, 64 * 256 * 9 / 2);
}

TEST(Quantization, RefusesWhatItCannotQuantize) {
  const auto good = at::ones({2, 40});
  expect_error(ErrorCode::kConfig, "quantize: expected 8 or 4 bits, got 5.",
               [&] { (void)quantize(good, 5); });
  expect_error(ErrorCode::kShape, "quantize: expected the weights of 2 dimensions, got [40].",
               [&] { (void)quantize(good[0], 8); });
  expect_error(ErrorCode::kDtype, "quantize: expected the weights of dtype Float, got Double.",
               [&] { (void)quantize(good.to(at::kDouble), 8); });
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                          -std::numeric_limits<float>::infinity(), 0x1p114F}) {
    auto spoiled = good.clone();
    spoiled[1][35] = bad;
    for (const auto bits : kBothBits) {
      expect_error(ErrorCode::kData,
                   "quantize: expected finite weights below 2^113, got others in row 1.",
                   [&] { (void)quantize(spoiled, bits); });
    }
  }
}

TEST(Quantization, RefusesCodesAndScalesThatDoNotFit) {
  auto short_of_scales = quantize(at::ones({2, 40}), 8);
  short_of_scales.scales = short_of_scales.scales.narrow(1, 0, 1);
  expect_error(ErrorCode::kShape, "dequantize: expected scales of shape [2, 2], got [2, 1].",
               [&] { (void)dequantize(short_of_scales); });
  auto other_type = quantize(at::ones({2, 40}), 4);
  other_type.bits = 8;
  expect_error(ErrorCode::kDtype, "dequantize: expected codes of dtype Char, got Byte.",
               [&] { (void)dequantize(other_type); });
}

}  // namespace
}  // namespace loopbank::ops
