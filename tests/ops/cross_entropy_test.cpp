#include "loopbank/ops/cross_entropy.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "gradient_check.h"

namespace loopbank::ops {
namespace {

using testing::expect_close;
using testing::expect_error;
using testing::expect_gradients_match;
using testing::kDtypes;
using testing::kIgnore;
using testing::kSizes;
using testing::RandomTensors;
using testing::values_of;
using testing::with_gaps;

double cross_entropy_by_hand(const at::Tensor& logits, const std::vector<int64_t>& targets) {
  const auto rows = values_of(logits);
  const auto width = static_cast<size_t>(logits.size(1));
  double sum = 0.0;
  int64_t count = 0;
  for (size_t r = 0; r < targets.size(); ++r) {
    if (targets[r] == kIgnore) {
      continue;
    }
    const double* const row = &rows[r * width];
    const double largest = *std::max_element(row, row + width);
    double exponentials = 0.0;
    for (size_t v = 0; v < width; ++v) {
      exponentials += std::exp(row[v] - largest);
    }
    sum += std::log(exponentials) + largest - row[targets[r]];
    ++count;
  }
  return count == 0 ? 0.0 : sum / static_cast<double>(count);
}

/// Targets that run through the vocabulary, every fifth one ignored.
std::vector<int64_t> some_targets(int64_t rows, int64_t vocabulary) {
  std::vector<int64_t> targets;
  for (int64_t r = 0; r < rows; ++r) {
    targets.push_back(r % 5 == 3 ? kIgnore : (7 * r + vocabulary - 1) % vocabulary);
  }
  return targets;
}

at::Tensor as_tensor(const std::vector<int64_t>& targets) {
  return at::tensor(targets, at::kLong);
}

TEST(CrossEntropy, IsTheFormulaInEveryDtypeAndSize) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    for (const auto rows : kSizes) {
      for (const auto vocabulary : kSizes) {
        const auto logits = random.normal({rows, vocabulary}, dtype) * 3;
        const auto targets = some_targets(rows, vocabulary);
        const std::vector<double> expected{cross_entropy_by_hand(logits, targets)};
        const auto loss = cross_entropy(logits, as_tensor(targets), kIgnore);
        // bf16 logits give an fp32 loss, as exact as that of fp32 logits.
        EXPECT_EQ(loss.scalar_type(), accumulation_type(dtype));
        EXPECT_EQ(loss.dim(), 0);
        expect_close(loss, expected, kCrossEntropyTolerance.of(dtype));
        expect_close(cross_entropy(with_gaps(logits), as_tensor(targets), kIgnore), expected,
                     kCrossEntropyTolerance.of(dtype));
        const auto columns = logits.t().contiguous().t();
        expect_close(cross_entropy(columns, as_tensor(targets), kIgnore), expected,
                     kCrossEntropyTolerance.of(dtype));
      }
    }
  }
}

TEST(CrossEntropy, EqualLogitsCostTheLogarithmOfTheVocabulary) {
  const auto logits = at::full({4, 50304}, 2.5, at::kBFloat16);
  expect_close(cross_entropy(logits, as_tensor({0, 1, 2, 50303}), kIgnore), {std::log(50304.0)},
               kCrossEntropyTolerance.bf16);
}

TEST(CrossEntropy, IgnoredTargetsAreNotCounted) {
  const auto logits = RandomTensors().normal({4, 9}, at::kFloat).requires_grad_(true);
  const auto loss = cross_entropy(logits, as_tensor({3, kIgnore, 5, kIgnore}), kIgnore);
  const auto counted = at::stack({logits[0], logits[2]}).detach();
  expect_close(loss, {cross_entropy_by_hand(counted, {3, 5})}, kCrossEntropyTolerance.fp32);
  loss.backward();
  EXPECT_TRUE(logits.grad()[1].eq(0).all().item<bool>());
  EXPECT_TRUE(logits.grad()[3].eq(0).all().item<bool>());
  EXPECT_TRUE(logits.grad()[2].ne(0).all().item<bool>());
}

TEST(CrossEntropy, ANumberOfTheVocabularyCanBeIgnored) {
  const auto logits = RandomTensors().normal({3, 9}, at::kFloat);
  expect_close(cross_entropy(logits, as_tensor({0, 4, 0}), /*ignore=*/0),
               {cross_entropy_by_hand(logits, {kIgnore, 4, kIgnore})}, kCrossEntropyTolerance.fp32);
}

TEST(CrossEntropy, AllIgnoredIsZeroAndNotNan) {
  for (const auto dtype : kDtypes) {
    const auto logits = RandomTensors().normal({3, 9}, dtype).requires_grad_(true);
    const auto loss = cross_entropy(logits, as_tensor({kIgnore, kIgnore, kIgnore}), kIgnore);
    EXPECT_EQ(loss.item<double>(), 0.0);
    loss.backward();
    EXPECT_TRUE(logits.grad().eq(0).all().item<bool>());
  }
}

TEST(CrossEntropy, HugeLogitsStayFinite) {
  for (const auto dtype : kDtypes) {
    auto logits = at::zeros({3, 4}, dtype);
    logits[0][1] = 1e4;  // right and sure
    logits[1][2] = 1e4;  // wrong and sure
    logits[2].fill_(-1e4);
    logits.requires_grad_(true);
    const auto targets = std::vector<int64_t>{1, 0, 3};
    const auto loss = cross_entropy(logits, as_tensor(targets), kIgnore);
    expect_close(loss, {cross_entropy_by_hand(logits, targets)}, kCrossEntropyTolerance.of(dtype));
    loss.backward();
    EXPECT_TRUE(logits.grad().isfinite().all().item<bool>());
  }
}

TEST(CrossEntropy, Bf16LogitsAreSummedInFp32) {
  // In bf16 a sum of a thousand ones stops growing at 256.
  const auto logits = at::zeros({4096, 1000}, at::kBFloat16);
  const auto targets = at::zeros({4096}, at::kLong);
  expect_close(cross_entropy(logits, targets, kIgnore), {std::log(1000.0)},
               kCrossEntropyTolerance.bf16);
}

TEST(CrossEntropy, GradientsMatch) {
  RandomTensors random;
  for (const int64_t vocabulary : {1, 2, 8, 9}) {
    const auto targets = as_tensor(some_targets(6, vocabulary));
    expect_gradients_match([&](const auto& in) { return cross_entropy(in[0], targets, kIgnore); },
                           {random.normal({6, vocabulary})});
  }
}

TEST(CrossEntropy, RefusesAnotherNumberOfTargets) {
  expect_error(ErrorCode::kShape, "cross_entropy: expected targets of shape [4], got [3].", [] {
    cross_entropy(at::zeros({4, 9}), at::zeros({3}, at::kLong), kIgnore);
  });
}

}  // namespace
}  // namespace loopbank::ops
