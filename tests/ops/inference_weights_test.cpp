#include "loopbank/ops/inference_weights.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <limits>

#include "gradient_check.h"
#include "loopbank/ops/linear.h"
#include "loopbank/ops/quantization.h"
#include "loopbank/support/rounding.h"

namespace loopbank::ops {
namespace {

using testing::expect_close;
using testing::expect_error;
using testing::RandomTensors;

constexpr WeightFormat kFormats[] = {WeightFormat::kFp32, WeightFormat::kBf16, WeightFormat::kInt8,
                                     WeightFormat::kInt4};
constexpr at::ScalarType kRowDtypes[] = {at::kFloat, at::kBFloat16};

/// [out, in]: single ones, widths around a strip of 16 and a panel of 64, odd depths, several
/// depths of a pass.
constexpr int64_t kShapes[][2] = {{1, 1},  {1, 7},    {15, 2},   {16, 33},   {17, 64},
                                  {63, 5}, {65, 511}, {128, 48}, {200, 1100}};

/// The same values on another number of threads until the end of the scope.
class ThreadsScope {
 public:
  explicit ThreadsScope(int threads) : before_(at::get_num_threads()) {
    at::set_num_threads(threads);
  }
  ~ThreadsScope() { at::set_num_threads(before_); }
  ThreadsScope(const ThreadsScope&) = delete;
  ThreadsScope& operator=(const ThreadsScope&) = delete;

 private:
  int before_;
};

/// What a master stands for in a format, in fp64.
at::Tensor in_format(const at::Tensor& master, WeightFormat format) {
  const auto wide = master.to(at::kFloat);
  switch (format) {
    case WeightFormat::kFp32:
      return wide.to(at::kDouble);
    case WeightFormat::kBf16:
      return wide.to(at::kBFloat16).to(at::kDouble);
    default:
      return dequantize(quantize(wide, format == WeightFormat::kInt8 ? 8 : 4)).to(at::kDouble);
  }
}

bool is_of_codes(WeightFormat format) {
  return format == WeightFormat::kInt8 || format == WeightFormat::kInt4;
}

/// How far products with codes may lie from x W^T: half a step for every k, which is 2^-15 of the
/// largest of its 32 inputs and 0.4 %, and the rounding of sums over groups.
at::Tensor error_of_codes(const at::Tensor& x, const at::Tensor& weights) {
  const auto in = x.size(-1);
  const auto width = round_up(in, kQuantizationGroup);
  const auto wide = at::constant_pad_nd(x.to(at::kDouble).abs(), {0, width - in});
  auto shape = wide.sizes().vec();
  shape.back() = -1;
  shape.push_back(kQuantizationGroup);
  const auto largest = std::get<0>(wide.view(shape).max(-1, /*keepdim=*/true));
  const auto half_steps =
      (largest.expand_as(wide.view(shape)) * (1.004 / 32768.0)).reshape(wide.sizes());
  const auto rounding = static_cast<double>(width / kQuantizationGroup + 3) / 16777216.0;
  return at::matmul(half_steps.narrow(-1, 0, in), weights.abs().t()) +
         at::matmul(x.to(at::kDouble).abs(), weights.abs().t()) * rounding;
}

void expect_within(const at::Tensor& y, const at::Tensor& exact, const at::Tensor& bound) {
  const auto off = (y.to(at::kDouble) - exact).abs();
  EXPECT_TRUE(off.le(bound).all().item<bool>())
      << "off by " << off.max().item<double>() << ", at most " << bound.max().item<double>();
}

TEST(InferenceWeights, MultiplyAsTheMastersInTheirFormat) {
  RandomTensors random;
  for (const auto& [out, in] : kShapes) {
    const auto first = random.normal({out, in}, at::kFloat);
    const auto second = random.normal({3, in}, at::kBFloat16);
    for (const auto format : kFormats) {
      const InferenceWeights weights({first, second}, format);
      const auto rounded = at::cat({in_format(first, format), in_format(second, format)});
      for (const auto dtype : kRowDtypes) {
        for (const int64_t rows : {1, 2, 5, 6, 7, 13, 129}) {
          const auto x = random.normal({1, rows, in}, dtype);
          const auto of_bf16 = format == WeightFormat::kBf16 ? x.to(at::kBFloat16) : x;
          const auto exact = at::matmul(of_bf16.to(at::kDouble), rounded.t());
          const auto y = weights.multiply(x);
          EXPECT_EQ(y.scalar_type(), dtype);
          if (is_of_codes(format)) {
            expect_within(y, exact,
                          error_of_codes(of_bf16, rounded) +
                              exact.abs() * (dtype == at::kFloat ? 0.0 : kOneRoundingToBf16));
          } else {
            // A sum of 1100 terms in one order.
            expect_close(y, exact, 10 * kLinearTolerance.of(dtype));
          }
        }
      }
    }
  }
}

TEST(InferenceWeights, ARowIsTheSameByItselfAndAmongOthersOnAnyNumberOfThreads) {
  RandomTensors random;
  for (const auto& [out, in] : kShapes) {
    const auto master = random.normal({out, in}, at::kFloat);
    for (const auto format : kFormats) {
      const InferenceWeights weights({master}, format);
      for (const auto dtype : kRowDtypes) {
        const auto x = random.normal({515, in}, dtype);
        const auto all = weights.multiply(x);
        const ThreadsScope threads(1);
        for (const int64_t rows : {1, 2, 3, 4, 5, 7, 37, 128, 200}) {
          for (const int64_t first : {0, 1, 300}) {
            const auto some = weights.multiply(x.narrow(0, first, rows));
            EXPECT_TRUE(some.equal(all.narrow(0, first, rows)))
                << out << " x " << in << ", " << rows << " rows from " << first;
          }
        }
      }
    }
  }
}

TEST(InferenceWeights, RoundRowsForCodesFarFinerThanTheCodes) {
  RandomTensors random;
  const auto master = random.normal({300, 768}, at::kFloat);
  const auto x = random.normal({50, 768}, at::kFloat);
  for (const auto format : {WeightFormat::kInt8, WeightFormat::kInt4}) {
    const auto exact = at::matmul(x.to(at::kDouble), in_format(master, format).t());
    const auto y = InferenceWeights({master}, format).multiply(x).to(at::kDouble);
    // Steps of 2^-14 or 2^-13, evenly spread errors: 1.8e-5 to 3.5e-5 of values around 1.
    EXPECT_LT(((y - exact).norm() / exact.norm()).item<double>(), 3.6e-5);
  }
}

TEST(InferenceWeights, ShowWhatIsNotFiniteInItsRowOnly) {
  RandomTensors random;
  const auto master = random.normal({70, 100}, at::kFloat);
  const auto x = random.normal({4, 100}, at::kFloat);
  for (const auto format : kFormats) {
    const InferenceWeights weights({master}, format);
    const auto good = weights.multiply(x);
    for (const double bad :
         {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
      auto spoiled = x.clone();
      spoiled[2][97] = bad;
      const auto y = weights.multiply(spoiled);
      EXPECT_FALSE(y[2].isfinite().any().item<bool>());
      for (const int64_t row : {0, 1, 3}) {
        EXPECT_TRUE(y[row].equal(good[row]));
      }
    }
  }
}

TEST(InferenceWeights, HoldTheCodesOfTheirMasters) {
  RandomTensors random;
  const int64_t out = 83;
  const int64_t in = 141;
  const auto master = random.normal({out, in}, at::kFloat);
  for (const auto format : {WeightFormat::kInt8, WeightFormat::kInt4}) {
    const auto values = in_format(master, format).to(at::kFloat);
    const InferenceWeights weights({master}, format);
    // Each input by itself: scale times code, exact in fp32.
    EXPECT_TRUE(weights.multiply(at::eye(in, at::kFloat)).equal(values.t()));
    const auto x = random.normal({20, in}, at::kBFloat16);
    EXPECT_TRUE(weights.multiply(x).equal(InferenceWeights({values}, format).multiply(x)));
  }
}

TEST(InferenceWeights, AreMadeOfStoredCodes) {
  RandomTensors random;
  for (const int64_t in : {1, 31, 77, 200}) {
    const auto first = random.normal({83, in}, at::kFloat);
    const auto second = random.normal({3, in}, at::kFloat);
    const auto x = random.normal({20, in}, at::kBFloat16);
    for (const int64_t bits : {8, 4}) {
      const auto format = bits == 8 ? WeightFormat::kInt8 : WeightFormat::kInt4;
      const InferenceWeights stored({quantize(first, bits), quantize(second, bits)});
      EXPECT_EQ(stored.format(), format);
      EXPECT_EQ(stored.outs(), std::vector<int64_t>({83, 3}));
      EXPECT_TRUE(stored.multiply(x).equal(InferenceWeights({first, second}, format).multiply(x)))
          << bits << " bit, " << in << " inputs";
    }
  }
}

TEST(InferenceWeights, RefuseCodesThatDoNotFit) {
  const auto of = [](int64_t out, int64_t in, int64_t bits) {
    return quantize(at::zeros({out, in}, at::kFloat), bits);
  };
  const auto make = [](const std::vector<Quantized>& layers) {
    const InferenceWeights made(layers);
  };
  expect_error(ErrorCode::kShape, "inference weights: expected at least one weight, got none.",
               [&] { make({}); });
  expect_error(ErrorCode::kConfig, "inference weights: expected codes of 8 bits, got 4.", [&] {
    make({of(2, 3, 8), of(2, 3, 4)});
  });
  expect_error(ErrorCode::kShape, "inference weights: expected codes of 3 inputs, got 4.", [&] {
    make({of(2, 3, 8), of(2, 4, 8)});
  });
  auto spoiled = of(2, 40, 8);
  spoiled.scales = spoiled.scales.narrow(1, 0, 1);
  expect_error(ErrorCode::kShape, "inference weights: expected scales of shape [2, 2], got [2, 1].",
               [&] { make({spoiled}); });
}

TEST(InferenceWeights, TakeRowsWithGaps) {
  RandomTensors random;
  const auto master = random.normal({70, 40}, at::kFloat);
  const auto wide = random.normal({9, 60}, at::kBFloat16);
  const auto x = wide.narrow(1, 11, 40);
  for (const auto format : kFormats) {
    const InferenceWeights weights({master}, format);
    const auto result = at::full({9, 90}, 7.0, at::kFloat);
    weights.multiply(as_matrix(x), as_matrix(result.narrow(1, 5, 70)));
    EXPECT_TRUE(result.narrow(1, 5, 70).to(at::kBFloat16).equal(weights.multiply(x)));
    EXPECT_TRUE(result.narrow(1, 0, 5).equal(at::full({9, 5}, 7.0)));
    EXPECT_TRUE(result.narrow(1, 75, 15).equal(at::full({9, 15}, 7.0)));
  }
}

TEST(InferenceWeights, GiveTheSameWhileTheyReadAhead) {
  RandomTensors random;
  const auto master = random.normal({300, 200}, at::kFloat);
  const auto other = random.normal({7, 900}, at::kFloat);
  for (const auto format : kFormats) {
    const InferenceWeights weights({master}, format);
    const InferenceWeights next({other}, format);
    for (const int64_t rows : {1, 2}) {
      const auto x = random.normal({rows, 200}, at::kBFloat16);
      const auto y = at::full({rows, 300}, 7.0, at::kFloat);
      for (const auto& ahead : {ReadAhead{.weights = &next}, ReadAhead{&next, 0.25, 0.75},
                                ReadAhead{&next, 1.0, 1.0}, ReadAhead{&weights, 0.0, 1.0}}) {
        y.fill_(7.0);
        weights.multiply(as_matrix(x), as_matrix(y), ahead);
        EXPECT_TRUE(y.to(at::kBFloat16).equal(weights.multiply(x)));
      }
    }
  }
}

TEST(InferenceWeights, KnowTheirBytes) {
  const auto master = at::zeros({100, 10}, at::kFloat);
  EXPECT_EQ(InferenceWeights({master}, WeightFormat::kFp32).bytes(), 112 * 10 * 4);
  EXPECT_EQ(InferenceWeights({master}, WeightFormat::kBf16).bytes(), 112 * 10 * 2);
  // Two groups of 32 inputs and their scales.
  EXPECT_EQ(InferenceWeights({master}, WeightFormat::kInt8).bytes(), 112 * 2 * (32 + 2));
  EXPECT_EQ(InferenceWeights({master}, WeightFormat::kInt4).bytes(), 112 * 2 * (16 + 2));
}

TEST(InferenceWeights, TakeNoRows) {
  const InferenceWeights weights({at::zeros({2, 3}, at::kFloat)}, WeightFormat::kFp32);
  EXPECT_EQ(weights.multiply(at::zeros({0, 3}, at::kFloat)).sizes(), at::IntArrayRef({0, 2}));
}

TEST(InferenceWeights, RefuseWhatDoesNotFit) {
  const auto make = [](const std::vector<at::Tensor>& masters) {
    InferenceWeights(masters, WeightFormat::kFp32);
  };
  expect_error(ErrorCode::kShape, "inference weights: expected at least one weight, got none.",
               [&] { make({}); });
  expect_error(ErrorCode::kShape, "inference weights: expected weight of shape [2, 3], got [2, 4].",
               [&] {
                 make({at::zeros({5, 3}, at::kFloat), at::zeros({2, 4}, at::kFloat)});
               });
  expect_error(ErrorCode::kDtype,
               "inference weights: expected weights in Float or BFloat16, got Double.", [&] {
                 make({at::zeros({5, 3}, at::kDouble)});
               });
  const InferenceWeights weights({at::zeros({5, 3}, at::kFloat)}, WeightFormat::kFp32);
  expect_error(ErrorCode::kShape,
               "inference weights: expected x [..., 3] for weights [5, 3], got [2, 4].", [&] {
                 (void)weights.multiply(at::zeros({2, 4}, at::kFloat));
               });
  expect_error(ErrorCode::kDtype, "inference weights: expected x in Float or BFloat16, got Double.",
               [&] {
                 (void)weights.multiply(at::zeros({2, 3}, at::kDouble));
               });
}

}  // namespace
}  // namespace loopbank::ops
