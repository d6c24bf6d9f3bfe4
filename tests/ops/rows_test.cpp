#include "loopbank/ops/rows.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "gradient_check.h"
#include "loopbank/ops/kernels.h"

namespace loopbank::ops {
namespace {

using testing::expect_close;
using testing::expect_error;
using testing::kDtypes;
using testing::RandomTensors;
using testing::values_of;
using testing::with_gaps;

constexpr int64_t kWidthsOfRows[] = {1, 7, 16, 33, 64, 65, 768, 1030};

/// Runs `check` with both versions of the ops.
template <typename Check>
void with_both_kernels(const Check& check) {
  for (const auto kernels : {Kernels::kReference, Kernels::kFused}) {
    const KernelsScope scope(kernels);
    check();
  }
}

std::vector<int64_t> some_rows_of(int64_t rows, int64_t count) {
  std::vector<int64_t> list;
  for (int64_t i = 0; i < count; ++i) {
    list.push_back((i * 3 + 2) % rows);
  }
  return list;
}

TEST(GatherRows, PicksTheListedRowsInEveryDtype) {
  RandomTensors random;
  with_both_kernels([&] {
    for (const auto dtype : kDtypes) {
      for (const int64_t width : kWidthsOfRows) {
        const auto h = random.normal({7, width}, dtype);
        const auto list = some_rows_of(7, 11);
        for (const auto& x : {h, with_gaps(h)}) {
          const auto picked = gather_rows(x, list);
          ASSERT_EQ(picked.sizes(), at::IntArrayRef({11, width}));
          EXPECT_EQ(picked.scalar_type(), dtype);
          for (size_t i = 0; i < list.size(); ++i) {
            EXPECT_TRUE(picked[static_cast<int64_t>(i)].equal(h[list[i]]));
          }
        }
        EXPECT_EQ(gather_rows(h, {}).sizes(), at::IntArrayRef({0, width}));
      }
    }
  });
}

TEST(WeightedAddRows, AddsEachRowOnceForEachTimeItIsListed) {
  RandomTensors random;
  with_both_kernels([&] {
    for (const int64_t width : kWidthsOfRows) {
      const auto y = random.normal({7, width}, at::kFloat);
      const auto h = random.normal({11, width}, at::kFloat);
      const auto rows = some_rows_of(7, 11);  // four of them twice
      std::vector<float> weights;
      auto expected = y.to(at::kDouble).clone();
      for (int64_t i = 0; i < 11; ++i) {
        weights.push_back(0.3F * static_cast<float>(i) - 1.0F);
        expected[rows[static_cast<size_t>(i)]].add_(h[i].to(at::kDouble) * weights.back());
      }
      for (const auto& x : {h, with_gaps(h)}) {
        const auto sum = y.clone();
        weighted_add_rows(sum, rows, weights, x);
        expect_close(sum, expected, 1e-6);
      }
      const auto untouched = y.clone();
      weighted_add_rows(untouched, {}, {}, h.narrow(0, 0, 0));
      EXPECT_TRUE(untouched.equal(y));
    }
  });
}

TEST(RelativeChange, IsTheRatioOfNorms) {
  RandomTensors random;
  with_both_kernels([&] {
    for (const int64_t width : kWidthsOfRows) {
      const auto before = random.normal({5, width}, at::kFloat);
      const auto h = before + random.normal({5, width}, at::kFloat) * 0.01;
      const auto earlier = random.normal({5, width}, at::kFloat);
      const auto norm = [](const at::Tensor& x) { return x.square().sum(-1).sqrt(); };
      const auto d = h.to(at::kDouble) - before.to(at::kDouble);
      const auto exact = norm(d) / norm(before.to(at::kDouble));
      for (const auto& x : {h, with_gaps(h)}) {
        expect_close(relative_change(x, before) / exact, at::ones_like(exact),
                     kRelativeChangeTolerance);
      }
      const auto d_before = before - earlier;  // rounded, as documented
      const auto rounded = (h - before).to(at::kDouble);
      const auto accelerations = norm(((h - before) - d_before).to(at::kDouble)) / norm(rounded);
      expect_close(relative_acceleration(h, before, earlier) / accelerations,
                   at::ones_like(accelerations), kRelativeChangeTolerance);
    }
  });
}

TEST(RelativeChange, OfNothingIsInfinityOrNan) {
  with_both_kernels([&] {
    const auto zero = at::zeros({1, 3});
    const auto one = at::ones({1, 3});
    EXPECT_TRUE(std::isinf(relative_change(one, zero).item<float>()));
    EXPECT_TRUE(std::isnan(relative_change(zero, zero).item<float>()));
    EXPECT_EQ(relative_change(one, one).item<float>(), 0.0F);
    EXPECT_TRUE(std::isinf(relative_acceleration(one, one, zero).item<float>()));
    EXPECT_TRUE(std::isnan(relative_acceleration(one, one, one).item<float>()));
    // Three steps of one length: no acceleration.
    EXPECT_EQ(relative_acceleration(one * 2, one, zero).item<float>(), 0.0F);
  });
}

TEST(Rows, NeighboursAndThreadsChangeNoBit) {
  const int threads_before = at::get_num_threads();
  RandomTensors random;
  const auto h = random.normal({400, 771}, at::kFloat);
  const auto before = random.normal({400, 771}, at::kFloat);
  const auto earlier = random.normal({400, 771}, at::kFloat);
  const auto rows = some_rows_of(301, 400);  // the first 99 twice
  const std::vector<float> weights(400, 0.7F);
  at::set_num_threads(1);
  const auto change = relative_change(h, before);
  const auto acceleration = relative_acceleration(h, before, earlier);
  const auto sum = before.clone();
  weighted_add_rows(sum, rows, weights, h);
  for (const int threads : {1, 2, 5}) {
    at::set_num_threads(threads);
    for (int64_t r = 0; r < 400; r += 57) {
      const auto one = [&](const at::Tensor& x) { return x.narrow(0, r, 1); };
      EXPECT_TRUE(relative_change(one(h), one(before)).equal(one(change)));
      EXPECT_TRUE(
          relative_acceleration(one(h), one(before), one(earlier)).equal(one(acceleration)));
    }
    EXPECT_TRUE(relative_change(h, before).equal(change));
    const auto again = before.clone();
    weighted_add_rows(again, rows, weights, h);
    EXPECT_TRUE(again.equal(sum));
    ASSERT_EQ(std::count(rows.begin(), rows.end(), rows[150]), 1);
    const auto alone = before[rows[150]].clone().unsqueeze(0);
    weighted_add_rows(alone, std::vector<int64_t>{0}, std::vector<float>{0.7F},
                      h.narrow(0, 150, 1));
    EXPECT_TRUE(alone[0].equal(sum[rows[150]]));
  }
  at::set_num_threads(threads_before);
}

TEST(Rows, RefuseWhatDoesNotFit) {
  const auto h = at::zeros({2, 4});
  const std::vector<int64_t> rows = {1, 3};
  const std::vector<float> weights = {1.0F, 1.0F};
  expect_error(ErrorCode::kData, "gather_rows: expected rows from 0 to 1, got 3 at place 1.",
               [&] { gather_rows(h, rows); });
  expect_error(ErrorCode::kData, "weighted_add_rows: expected rows from 0 to 1, got 3 at place 1.",
               [&] { weighted_add_rows(h, rows, weights, h); });
  expect_error(ErrorCode::kShape, "weighted_add_rows: expected a weight for each of 2 rows, got 1.",
               [&] { weighted_add_rows(h, rows, std::span(weights).first(1), h); });
  expect_error(ErrorCode::kShape, "weighted_add_rows: expected h of shape [2, 4], got [3, 4].",
               [&] {
                 weighted_add_rows(h, rows, weights, at::zeros({3, 4}));
               });
  expect_error(ErrorCode::kShape,
               "weighted_add_rows: expected y without gaps between its values, got strides [1, 4].",
               [&] {
                 weighted_add_rows(at::zeros({4, 4}).t(), rows, weights, h);
               });
  expect_error(ErrorCode::kDtype, "relative_change: expected before of dtype Float, got Double.",
               [&] { relative_change(h, h.to(at::kDouble)); });
  expect_error(ErrorCode::kShape,
               "relative_acceleration: expected earlier of shape [2, 4], got [2, 3].", [&] {
                 relative_acceleration(h, h, at::zeros({2, 3}));
               });
}

}  // namespace
}  // namespace loopbank::ops
