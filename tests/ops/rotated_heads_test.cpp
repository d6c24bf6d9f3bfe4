#include "loopbank/ops/rotated_heads.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <vector>

#include "gradient_check.h"
#include "loopbank/ops/kernels.h"
#include "rotary_angles.h"

namespace loopbank::ops {
namespace {

using testing::angles_at;
using testing::expect_close;
using testing::expect_error;
using testing::expect_gradients_match;
using testing::kEps;
using testing::kFusedDtypes;
using testing::RandomTensors;
using testing::with_gaps;

/// Positions as rows of several sequences have them.
std::vector<int64_t> scattered_positions(int64_t rows) {
  std::vector<int64_t> positions;
  for (int64_t r = 0; r < rows; ++r) {
    positions.push_back(r * 7919 % 4096);
  }
  return positions;
}

struct JoinedRows {
  AttentionHeads heads;
  at::Tensor qkv;
  RotaryTable angles;
  HeadNorm norm;
};

JoinedRows joined_rows(int64_t rows, const AttentionHeads& heads, int64_t width,
                       at::ScalarType dtype) {
  RandomTensors random;
  return {.heads = heads,
          .qkv = random.normal({rows, (heads.query + 2 * heads.key) * width}, dtype),
          .angles = angles_at(scattered_positions(rows), width),
          .norm = {.query_weight = random.normal({width}, at::kFloat),
                   .key_weight = random.normal({width}, at::kFloat),
                   .eps = kEps}};
}

RotatedHeads run_rows(const JoinedRows& in) {
  return rotated_heads(in.qkv, in.heads, in.angles, in.norm);
}

/// Rows [first, first + count).
JoinedRows some_rows(const JoinedRows& in, int64_t first, int64_t count) {
  auto some = in;
  some.qkv = in.qkv.narrow(0, first, count);
  some.angles = {in.angles.cosines.narrow(0, first, count),
                 in.angles.sines.narrow(0, first, count)};
  return some;
}

constexpr AttentionHeads kRowHeads[] = {{1, 1}, {4, 2}, {6, 1}, {20, 20}};

TEST(RotatedHeads, IsItsReferenceInEverySize) {
  for (const auto dtype : kFusedDtypes) {
    for (const auto& heads : kRowHeads) {
      for (const int64_t width : {2, 6, 16, 34, 64, 128}) {
        for (const int64_t rows : {1, 3, 17}) {
          const auto in = joined_rows(rows, heads, width, dtype);
          auto exact_in = in;
          exact_in.qkv = in.qkv.to(at::kDouble);
          const auto exact = run_rows(exact_in);
          const auto fused = run_rows(in);
          EXPECT_EQ(fused.query.scalar_type(), dtype);
          expect_close(fused.query, exact.query, kRotaryNormTolerance.of(dtype));
          expect_close(fused.key, exact.key, kRotaryNormTolerance.of(dtype));
          EXPECT_TRUE(fused.value.to(at::kDouble).equal(exact.value));
          const KernelsScope scope(Kernels::kReference);
          const auto reference = run_rows(in);
          expect_close(reference.query, exact.query, kRotaryNormTolerance.of(dtype));
          expect_close(reference.key, exact.key, kRotaryNormTolerance.of(dtype));
          EXPECT_TRUE(reference.value.equal(fused.value));
        }
      }
    }
  }
}

TEST(RotatedHeads, NeighboursAndThreadsChangeNoBitOfARow) {
  const int threads_before = at::get_num_threads();
  for (const auto dtype : kFusedDtypes) {
    for (const auto& heads : kRowHeads) {
      const auto in = joined_rows(300, heads, 34, dtype);
      at::set_num_threads(1);
      const auto all = run_rows(in);
      for (const int threads : {1, 2, 5}) {
        at::set_num_threads(threads);
        for (const int64_t first : {0, 1, 17, 299}) {
          const auto count = first == 1 ? 1 : 300 - first;
          const auto some = run_rows(some_rows(in, first, count));
          EXPECT_TRUE(some.query.equal(all.query.narrow(0, first, count)));
          EXPECT_TRUE(some.key.equal(all.key.narrow(0, first, count)));
        }
      }
    }
  }
  at::set_num_threads(threads_before);
}

TEST(RotatedHeads, TakesGapsAndValuesAreAViewOfARow) {
  const auto in = joined_rows(5, {4, 2}, 16, at::kBFloat16);
  auto gaps = in;
  gaps.qkv = with_gaps(in.qkv);
  gaps.norm.key_weight = with_gaps(in.norm.key_weight);
  const auto expected = run_rows(in);
  EXPECT_TRUE(run_rows(gaps).query.equal(expected.query));
  EXPECT_TRUE(run_rows(gaps).key.equal(expected.key));
  EXPECT_TRUE(run_rows(gaps).value.equal(expected.value));
  EXPECT_EQ(expected.value.data_ptr(), in.qkv.narrow(1, 96, 32).data_ptr());
  EXPECT_EQ(expected.value.strides(), at::IntArrayRef({128, 16, 1}));
}

TEST(RotatedHeads, GradientsMatch) {
  const auto in = joined_rows(3, {2, 1}, 4, at::kFloat);
  RandomTensors random;
  expect_gradients_match(
      [&](const auto& x) {
        const auto y = rotated_heads(x[0], in.heads, in.angles, {x[1], x[2], kEps});
        return y.query.sum(1) * y.key.sum(1) + y.value.sum(1);
      },
      {random.normal({3, 16}), random.normal({4}), random.normal({4})});
  // In fp32 a gradient takes the reference, not the fused version, which has none.
  auto asking = in;
  asking.qkv = in.qkv.clone().requires_grad_(true);
  EXPECT_TRUE(run_rows(asking).query.requires_grad());
}

TEST(RotatedHeads, RefusesWhatDoesNotFit) {
  const auto in = joined_rows(3, {2, 1}, 4, at::kFloat);
  expect_error(ErrorCode::kShape, "rotated_heads: expected qkv [R, 4 d] with d even, got [3, 12].",
               [&] {
                 rotated_heads(at::zeros({3, 12}), in.heads, in.angles, in.norm);
               });
  expect_error(ErrorCode::kShape, "rotated_heads: expected cosines of shape [2, 2], got [3, 2].",
               [&] { rotated_heads(in.qkv.narrow(0, 0, 2), in.heads, in.angles, in.norm); });
  expect_error(ErrorCode::kShape, "rotated_heads: expected key_weight of shape [4], got [6].", [&] {
    rotated_heads(in.qkv, in.heads, in.angles, {in.norm.query_weight, at::ones({6}), kEps});
  });
  expect_error(ErrorCode::kShape,
               "rotated_heads: expected H a multiple of H_kv, both at least 1, got 2 and 0.", [&] {
                 rotated_heads(in.qkv, {2, 0}, in.angles, in.norm);
               });
}

}  // namespace
}  // namespace loopbank::ops
