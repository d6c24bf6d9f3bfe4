#include "loopbank/ops/linear_cross_entropy.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>

#include "elementwise_fused_check.h"
#include "gradient_check.h"
#include "loopbank/ops/cpu/memory_pool.h"
#include "loopbank/ops/cross_entropy.h"
#include "loopbank/ops/kernels.h"
#include "memory_peak.h"

namespace loopbank::ops {
namespace {

using testing::expect_close;
using testing::expect_error;
using testing::expect_fused_is_reference;
using testing::expect_gradients_match;
using testing::kDtypes;
using testing::kFusedDtypes;
using testing::kIgnore;
using testing::peak_bytes_of;
using testing::RandomTensors;
using testing::TensorsFunction;
using testing::with_gaps;

/// Of the fused version in value and gradients, whichever dtype the result has: a gradient in fp32
/// of bf16 logits is no better than those. For the sums over rows that RowsTimesLoss makes.
Tolerance sums_tolerance(at::ScalarType compute) {
  const double tolerance = 3 * kLinearCrossEntropyTolerance.of(compute);
  return {.fp32 = tolerance, .bf16 = tolerance};
}

struct LossSizes {
  int64_t R, D, V;
};
/// Ragged ones; several blocks of the vocabulary; several chunks of rows; logits that just find
/// room in the gradient of the weight in bf16 (2 R + 64 = 4 D) and in fp32, and just do not.
constexpr LossSizes kLossShapes[] = {{1, 1, 1},      {7, 9, 2},     {9, 8, 17},     {16, 37, 15},
                                     {37, 16, 9},    {5, 9, 2048},  {3, 8, 2049},   {6, 37, 4133},
                                     {2, 3, 50304},  {4099, 7, 13}, {32, 32, 3201}, {16, 32, 2117},
                                     {17, 32, 2117}, {33, 32, 2117}};

/// Targets that run through the vocabulary, every fifth one ignored.
at::Tensor scattered_targets(int64_t rows, int64_t vocabulary) {
  std::vector<int64_t> targets;
  for (int64_t r = 0; r < rows; ++r) {
    targets.push_back(r % 5 == 3 ? kIgnore : (1237 * r + vocabulary - 1) % vocabulary);
  }
  return at::tensor(targets, at::kLong);
}

struct LossInputs {
  at::Tensor states, weight, targets;
};

/// Logits of standard deviation about 1. The weight is fp32 with values that the compute dtype
/// holds, so that exact arithmetic on it is that on its copy.
LossInputs random_loss_inputs(const LossSizes& sizes, at::ScalarType compute) {
  RandomTensors random;
  const auto states = random.normal({sizes.R, sizes.D}, compute);
  const auto weight =
      (random.normal({sizes.V, sizes.D}) / std::sqrt(static_cast<double>(sizes.D))).to(compute);
  const auto master = compute == at::kDouble ? weight : weight.to(at::kFloat);
  return {states, master, scattered_targets(sizes.R, sizes.V)};
}

/// The loss times R: gradients of order 1, which a tolerance can tell from nothing.
TensorsFunction rows_times_loss(const at::Tensor& targets) {
  return [targets](const auto& in) {
    return std::vector<at::Tensor>{linear_cross_entropy(in[0], in[1], targets, kIgnore) *
                                   targets.size(0)};
  };
}

double exact_loss(const LossInputs& inputs) {
  const auto logits = at::linear(inputs.states.to(at::kDouble), inputs.weight.to(at::kDouble));
  return cross_entropy(logits, inputs.targets, kIgnore).item<double>();
}

/// Loss and gradients, all on leaves of their own.
struct Outcome {
  at::Tensor loss, states_gradient, weight_gradient;
};

Outcome differentiate(const LossInputs& inputs, bool states_wanted = true,
                      bool weight_wanted = true) {
  const auto states = inputs.states.detach().clone().requires_grad_(states_wanted);
  const auto weight = inputs.weight.detach().clone().requires_grad_(weight_wanted);
  const auto loss = linear_cross_entropy(states, weight, inputs.targets, kIgnore);
  loss.backward();
  return {loss.detach(), states.grad(), weight.grad()};
}

TEST(LinearCrossEntropy, IsTheFormulaInEveryDtypeAndSize) {
  for (const auto kernels : {Kernels::kFused, Kernels::kReference}) {
    const KernelsScope scope(kernels);
    for (const auto dtype : kDtypes) {
      for (const auto& sizes : kLossShapes) {
        const auto inputs = random_loss_inputs(sizes, dtype);
        const auto loss =
            linear_cross_entropy(inputs.states, inputs.weight, inputs.targets, kIgnore);
        EXPECT_EQ(loss.scalar_type(), accumulation_type(dtype));
        EXPECT_EQ(loss.dim(), 0);
        expect_close(loss, std::vector<double>{exact_loss(inputs)},
                     kLinearCrossEntropyTolerance.of(dtype));
      }
    }
  }
}

TEST(LinearCrossEntropy, GradientsMatch) {
  RandomTensors random;
  for (const int64_t vocabulary : {1, 2, 9}) {
    const auto targets = scattered_targets(6, vocabulary);
    expect_gradients_match(
        [&](const auto& in) { return linear_cross_entropy(in[0], in[1], targets, kIgnore); },
        {random.normal({6, 5}), random.normal({vocabulary, 5})});
  }
}

TEST(LinearCrossEntropyFused, IsTheReferenceInValueAndGradients) {
  for (const auto dtype : kFusedDtypes) {
    for (const auto& sizes : kLossShapes) {
      SCOPED_TRACE(::testing::Message() << sizes.R << " x " << sizes.D << " x " << sizes.V);
      const auto inputs = random_loss_inputs(sizes, dtype);
      expect_fused_is_reference(rows_times_loss(inputs.targets), {inputs.states, inputs.weight},
                                sums_tolerance(dtype));
    }
  }
}

TEST(LinearCrossEntropyFused, TakesInputsWithGaps) {
  for (const auto dtype : kFusedDtypes) {
    const auto inputs = random_loss_inputs({9, 37, 17}, dtype);
    const auto targets = at::stack({inputs.targets, inputs.targets}, 1).select(1, 0);
    expect_fused_is_reference(rows_times_loss(targets),
                              {with_gaps(inputs.states), with_gaps(inputs.weight)},
                              sums_tolerance(dtype));
    const auto transposed = inputs.weight.t().contiguous().t();
    expect_fused_is_reference(rows_times_loss(targets), {inputs.states, transposed},
                              sums_tolerance(dtype));
  }
}

TEST(LinearCrossEntropyFused, TakesAWeightInEitherDtype) {
  for (const auto dtype : kFusedDtypes) {
    for (const auto of_weight : kFusedDtypes) {
      const auto inputs = random_loss_inputs({9, 37, 2100}, at::kBFloat16);
      expect_fused_is_reference(rows_times_loss(inputs.targets),
                                {inputs.states.to(dtype), inputs.weight.to(of_weight)},
                                sums_tolerance(at::kBFloat16));
    }
  }
}

TEST(LinearCrossEntropyFused, AnUnscaledLossHandsItsGradientsOn) {
  for (const auto dtype : kFusedDtypes) {
    const auto inputs = random_loss_inputs({9, 16, 37}, dtype);
    const auto fused = differentiate(inputs);
    const KernelsScope scope(Kernels::kReference);
    const auto reference = differentiate(inputs);
    const double tolerance = kLinearCrossEntropyTolerance.of(dtype);
    expect_close(fused.loss, reference.loss, tolerance);
    expect_close(fused.states_gradient * 9, reference.states_gradient * 9, tolerance);
    expect_close(fused.weight_gradient * 9, reference.weight_gradient * 9, tolerance);
    EXPECT_EQ(fused.states_gradient.scalar_type(), dtype);
    EXPECT_EQ(fused.weight_gradient.scalar_type(), at::kFloat);
  }
}

TEST(LinearCrossEntropyFused, ComputesOnlyWhatIsWanted) {
  for (const auto dtype : kFusedDtypes) {
    const auto inputs = random_loss_inputs({9, 16, 2100}, dtype);
    const auto both = differentiate(inputs);
    const auto states = differentiate(inputs, true, false);
    const auto weight = differentiate(inputs, false, true);
    EXPECT_TRUE(states.states_gradient.equal(both.states_gradient));
    EXPECT_FALSE(states.weight_gradient.defined());
    EXPECT_TRUE(weight.weight_gradient.equal(both.weight_gradient));
    EXPECT_FALSE(weight.states_gradient.defined());
    const at::NoGradGuard no_grad;
    const auto loss = linear_cross_entropy(inputs.states, inputs.weight, inputs.targets, kIgnore);
    EXPECT_TRUE(loss.equal(both.loss));
  }
}

TEST(LinearCrossEntropyFused, TheMastersGradientIsNotRoundedToBf16) {
  const auto gradient =
      differentiate(random_loss_inputs({37, 16, 17}, at::kBFloat16)).weight_gradient;
  EXPECT_FALSE(gradient.equal(gradient.to(at::kBFloat16).to(at::kFloat)));
}

TEST(LinearCrossEntropyFused, ASecondBackwardPassIsRefused) {
  const auto inputs = random_loss_inputs({9, 16, 37}, at::kFloat);
  const auto states = inputs.states.clone().requires_grad_(true);
  const auto loss = linear_cross_entropy(states, inputs.weight, inputs.targets, kIgnore);
  loss.backward({}, /*retain_graph=*/true);
  const auto first = states.grad().clone();
  expect_error(ErrorCode::kConfig,
               "linear_cross_entropy: expected one backward pass, got a second one. Compute the "
               "loss again for it.",
               [&] { (loss * 2).backward(); });
  EXPECT_TRUE(states.grad().equal(first));
}

TEST(LinearCrossEntropyFused, LogitsTakeNoMemoryBesideTheGradientThatHoldsThem) {
  if (!install_memory_pool()) {
    GTEST_SKIP() << "this LibTorch keeps its own memory";
  }
  const auto peak_bytes = [](int64_t rows, int64_t width) {
    const LossInputs inputs{at::zeros({rows, width}), at::zeros({16384, width}),
                            at::zeros({rows}, at::kLong)};
    return peak_bytes_of([&] { differentiate(inputs); });
  };
  const auto gradient_bytes = [](size_t width) { return 16384 * width * sizeof(float); };
  // States, their gradient and blocks of 1056 words.
  constexpr size_t kRest = size_t{4} << 20U;
  const size_t logit_bytes = size_t{250} * 16384 * sizeof(float);
  ASSERT_GT(logit_bytes, 2 * kRest);
  EXPECT_LE(peak_bytes(240, 256), 2 * gradient_bytes(256) + kRest);
  EXPECT_GE(peak_bytes(250, 256), 2 * gradient_bytes(256) + logit_bytes);
}

TEST(LinearCrossEntropy, AllIgnoredIsZeroAndNotNan) {
  for (const auto dtype : kDtypes) {
    auto inputs = random_loss_inputs({3, 8, 9}, dtype);
    inputs.targets = at::full({3}, kIgnore, at::kLong);
    const auto outcome = differentiate(inputs);
    EXPECT_EQ(outcome.loss.item<double>(), 0.0);
    EXPECT_TRUE(outcome.states_gradient.eq(0).all().item<bool>());
    EXPECT_TRUE(outcome.weight_gradient.eq(0).all().item<bool>());
  }
}

TEST(LinearCrossEntropy, AWordOfTheVocabularyCanBeIgnored) {
  for (const auto dtype : kDtypes) {
    auto inputs = random_loss_inputs({3, 8, 9}, dtype);
    inputs.targets = at::tensor(std::vector<int64_t>{kIgnore, 4, kIgnore}, at::kLong);
    const auto zeros = at::tensor(std::vector<int64_t>{0, 4, 0}, at::kLong);
    expect_close(linear_cross_entropy(inputs.states, inputs.weight, zeros, /*ignore=*/0),
                 std::vector<double>{exact_loss(inputs)}, kLinearCrossEntropyTolerance.of(dtype));
  }
}

TEST(LinearCrossEntropy, EqualLogitsCostTheLogarithmOfTheVocabulary) {
  for (const auto dtype : kDtypes) {
    const auto states = at::zeros({4, 2}, dtype);
    const auto targets = at::tensor(std::vector<int64_t>{0, 1, 2048, 50303}, at::kLong);
    expect_close(linear_cross_entropy(states, at::ones({50304, 2}), targets, kIgnore),
                 std::vector<double>{std::log(50304.0)}, kCrossEntropyTolerance.of(at::kFloat));
  }
}

TEST(LinearCrossEntropy, HugeLogitsStayFinite) {
  for (const auto dtype : kDtypes) {
    // Row 0 is right and sure, row 1 wrong and sure, row 2 far below 0 everywhere.
    const auto states = (at::eye(3).to(dtype) * 64).requires_grad_(true);
    const auto weight = at::zeros({4, 3}).to(dtype == at::kDouble ? at::kDouble : at::kFloat);
    weight[1][0] = 128;
    weight[2][1] = 128;
    weight.select(1, 2).fill_(-128);
    weight.requires_grad_(true);
    const auto targets = at::tensor(std::vector<int64_t>{1, 0, 3}, at::kLong);
    const auto loss = linear_cross_entropy(states, weight, targets, kIgnore);
    expect_close(loss, std::vector<double>{(8192 + std::log(4.0)) / 3}, 1e-6);
    loss.backward();
    EXPECT_TRUE(states.grad().isfinite().all().item<bool>());
    EXPECT_TRUE(weight.grad().isfinite().all().item<bool>());
  }
}

TEST(LinearCrossEntropy, NanShows) {
  for (const auto dtype : kDtypes) {
    const auto inputs = random_loss_inputs({3, 8, 37}, dtype);
    inputs.weight[20][3] = std::nan("");
    const auto loss = linear_cross_entropy(inputs.states, inputs.weight, inputs.targets, kIgnore);
    EXPECT_TRUE(std::isnan(loss.item<double>()));
  }
}

TEST(LinearCrossEntropy, RefusesShapesThatDoNotFit) {
  const auto states = at::zeros({4, 8});
  const auto weight = at::zeros({9, 8});
  const auto targets = at::zeros({4}, at::kLong);
  expect_error(ErrorCode::kShape,
               "linear_cross_entropy: expected states of shape [4, 8], got [4, 1, 8].",
               [&] { linear_cross_entropy(states.unsqueeze(1), weight, targets, kIgnore); });
  expect_error(ErrorCode::kShape,
               "linear_cross_entropy: expected weight of shape [9, 8], got [9, 7].", [&] {
                 linear_cross_entropy(states, at::zeros({9, 7}), targets, kIgnore);
               });
  expect_error(ErrorCode::kShape, "linear_cross_entropy: expected targets of shape [4], got [3].",
               [&] { linear_cross_entropy(states, weight, at::zeros({3}, at::kLong), kIgnore); });
}

TEST(LinearCrossEntropy, RefusesTargetsThatAreNoWords) {
  const auto states = at::zeros({18, 2});
  const auto weight = at::zeros({50304, 2});
  auto targets = at::zeros({18}, at::kLong);
  targets[3] = kIgnore;
  for (const auto kernels : {Kernels::kFused, Kernels::kReference}) {
    const KernelsScope scope(kernels);
    targets[17] = 50305;
    expect_error(ErrorCode::kData,
                 "linear_cross_entropy: expected targets in [0, 50304) or -100, got 50305 at 17.",
                 [&] { linear_cross_entropy(states, weight, targets, kIgnore); });
    targets[17] = 50304;
    expect_error(ErrorCode::kData,
                 "linear_cross_entropy: expected targets in [0, 50304) or -100, got 50304 at 17.",
                 [&] { linear_cross_entropy(states, weight, targets, kIgnore); });
    targets[17] = -1;
    expect_error(ErrorCode::kData,
                 "linear_cross_entropy: expected targets in [0, 50304) or -100, got -1 at 17.",
                 [&] { linear_cross_entropy(states, weight, targets, kIgnore); });
  }
  expect_error(ErrorCode::kDtype, "linear_cross_entropy: expected targets of dtype Long, got Int.",
               [&] { linear_cross_entropy(states, weight, targets.to(at::kInt), kIgnore); });
}

}  // namespace
}  // namespace loopbank::ops
