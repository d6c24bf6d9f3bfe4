/// A row's result does not depend on the rows beside it, nor on the number of threads: the ops that
/// inference is made of, bit for bit.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "gradient_check.h"
#include "loopbank/ops/elementwise.h"
#include "loopbank/ops/feed_forward.h"
#include "loopbank/ops/gated_sum.h"
#include "loopbank/ops/halting.h"
#include "loopbank/ops/linear.h"
#include "loopbank/ops/memory_read.h"
#include "loopbank/ops/norm.h"
#include "loopbank/ops/norm_linear.h"
#include "prepared_weights.h"

namespace loopbank::ops {
namespace {

using testing::expect_close;
using testing::expect_error;
using testing::expect_near_largest;
using testing::kEps;
using testing::kFusedDtypes;
using testing::prepare;
using testing::RandomTensors;

/// Widths that fill vectors and that do not.
constexpr int64_t kRowWidths[] = {64, 77, 200};
constexpr int64_t kRows = 512;

/// The op on rows `first` to `first + count` of inputs that the test holds.
using OpOfRows = std::function<at::Tensor(int64_t first, int64_t count)>;

void expect_rows_alone_as_among_others(const std::string& what, const OpOfRows& op) {
  const at::NoGradGuard no_grad;
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  const auto all = op(0, kRows);
  for (const int threads : {2, 1}) {
    at::set_num_threads(threads);
    EXPECT_TRUE(op(0, kRows).equal(all)) << what << " on threads: " << threads;
    for (const int64_t count : {1, 2, 7, 37, 300}) {
      for (const int64_t first : {0, 3, 200}) {
        EXPECT_TRUE(op(first, count).equal(all.narrow(0, first, count)))
            << what << ": " << count << " rows from " << first << " on threads: " << threads;
      }
    }
  }
  at::set_num_threads(before);
}

std::shared_ptr<LinearWeights> for_inference(const std::vector<at::Tensor>& masters,
                                             at::ScalarType compute) {
  const auto format = compute == at::kFloat ? WeightFormat::kFp32 : WeightFormat::kBf16;
  return std::make_shared<LinearWeights>(
      std::make_shared<const InferenceWeights>(masters, format), compute);
}

TEST(RowInvariance, OfNorms) {
  RandomTensors random;
  for (const auto D : kRowWidths) {
    const auto weight = random.normal({D}, at::kFloat);
    const auto bias = random.normal({D}, at::kFloat);
    for (const auto in : kFusedDtypes) {
      const auto x = random.normal({kRows, D}, in);
      for (const auto out : kFusedDtypes) {
        expect_rows_alone_as_among_others("rms_norm", [&](int64_t first, int64_t count) {
          return rms_norm(x.narrow(0, first, count), weight, kEps, out);
        });
        expect_rows_alone_as_among_others("layer_norm", [&](int64_t first, int64_t count) {
          return layer_norm(x.narrow(0, first, count), weight, bias, kEps, out);
        });
      }
    }
  }
}

TEST(RowInvariance, OfElementwiseOps) {
  RandomTensors random;
  const auto scale = at::full({}, 0.3, at::kFloat);
  for (const auto D : kRowWidths) {
    const auto state = random.normal({kRows, D}, at::kFloat);
    const auto bias = random.normal({D}, at::kFloat);
    for (const auto dtype : kFusedDtypes) {
      const auto both = random.normal({kRows, 2 * D}, dtype);
      const auto branch = random.normal({kRows, D}, dtype);
      const auto other = random.normal({kRows, D}, dtype);
      expect_rows_alone_as_among_others("swiglu", [&](int64_t first, int64_t count) {
        return swiglu(both.narrow(0, first, count));
      });
      expect_rows_alone_as_among_others("scaled_residual", [&](int64_t first, int64_t count) {
        return scaled_residual(state.narrow(0, first, count), branch.narrow(0, first, count),
                               scale);
      });
      expect_rows_alone_as_among_others("gated_sum", [&](int64_t first, int64_t count) {
        return gated_sum(state.narrow(0, first, count), both.narrow(0, first, count), {bias, bias},
                         {branch.narrow(0, first, count), other.narrow(0, first, count)});
      });
    }
  }
}

TEST(RowInvariance, OfHalting) {
  RandomTensors random;
  for (const auto D : kRowWidths) {
    const auto state = random.normal({kRows, D}, at::kFloat);
    const auto weight = random.normal({1, D + 1}, at::kFloat);
    const auto bias = random.normal({1}, at::kFloat);
    expect_rows_alone_as_among_others("router_logits", [&](int64_t first, int64_t count) {
      return router_logits(state.narrow(0, first, count), weight, bias, /*step=*/2.0);
    });
    const auto of_loop = router_logits(state, weight, bias, /*step=*/1.0).view({1, kRows});
    expect_rows_alone_as_among_others("halting_distribution", [&](int64_t first, int64_t count) {
      return halting_distribution({of_loop.narrow(1, first, count), of_loop.narrow(1, first, count)})
          .select(1, 0)
          .t();
    });
    const auto halting = halting_distribution({of_loop, of_loop});  // [2, 1, rows]
    for (const auto dtype : kFusedDtypes) {
      const auto one = random.normal({1, kRows, D}, dtype);
      const auto two = random.normal({1, kRows, D}, dtype);
      expect_rows_alone_as_among_others("mix_by_halting", [&](int64_t first, int64_t count) {
        return mix_by_halting({one.narrow(1, first, count), two.narrow(1, first, count)},
                              halting.narrow(2, first, count).contiguous())
            .state[0];
      });
    }
  }
}

/// Beside the rows also the reference: the same op with weights of a pass.
TEST(RowInvariance, OfProductsForInference) {
  RandomTensors random;
  for (const auto D : kRowWidths) {
    const int64_t F = D + 19;
    const auto a = random.normal({kRows, D}, at::kFloat);
    const auto norm = random.normal({D}, at::kFloat);
    const auto gate = random.normal({F, D}, at::kFloat) / 8;
    const auto up = random.normal({F, D}, at::kFloat) / 8;
    const auto down = random.normal({D, F}, at::kFloat) / 8;
    const auto scale = at::full({}, 0.3, at::kFloat);
    for (const auto compute : kFusedDtypes) {
      const auto x = a.to(compute);
      const auto gate_up = for_inference({gate, up}, compute);
      expect_rows_alone_as_among_others("linear", [&](int64_t first, int64_t count) {
        return linear(x.narrow(0, first, count), gate_up);
      });
      expect_rows_alone_as_among_others("norm_linear", [&](int64_t first, int64_t count) {
        return norm_linear(a.narrow(0, first, count), norm, kEps, gate_up).y;
      });
      const auto normed = rms_norm(a, norm, kEps, compute);
      EXPECT_TRUE(norm_linear(a, norm, kEps, gate_up).y.equal(linear(normed, gate_up)));
      expect_near_largest({linear(x, gate_up)}, {linear(x, prepare({gate, up}, compute))},
                          2 * kLinearTolerance.of(compute));

      const FeedForwardWeights branch{
          .norm = norm, .eps = kEps, .gate_up = gate_up, .down = for_inference({down}, compute)};
      expect_rows_alone_as_among_others("feed_forward", [&](int64_t first, int64_t count) {
        return feed_forward(a.narrow(0, first, count), branch, scale);
      });
      const auto y = feed_forward(a, branch, scale);
      const auto steps = linear(swiglu(linear(normed, gate_up)), branch.down);
      EXPECT_TRUE(y.equal(scaled_residual(a, steps, scale)));
      const FeedForwardWeights of_a_pass{.norm = norm,
                                         .eps = kEps,
                                         .gate_up = prepare({gate, up}, compute),
                                         .down = prepare({down}, compute)};
      expect_near_largest({y}, {feed_forward(a, of_a_pass, scale)},
                          kFeedForwardTolerance.of(compute));
    }
  }
}

TEST(RowInvariance, OfReadsOfAPreparedBank) {
  RandomTensors random;
  for (const auto D : kRowWidths) {
    // One slot, odd ones, and so many that a pass has too few rows for all queries.
    for (const int64_t slots : {1, 33, 1500}) {
      for (const auto dtype : kFusedDtypes) {
        const auto query = random.normal({kRows, D}, dtype);
        const auto keys = random.normal({slots, D}, dtype);
        const auto values = random.normal({slots, D}, dtype);
        const PreparedBank bank(keys, values,
                                dtype == at::kFloat ? WeightFormat::kFp32 : WeightFormat::kBf16);
        EXPECT_EQ(bank.slots(), slots);
        expect_rows_alone_as_among_others("bank", [&](int64_t first, int64_t count) {
          return bank.read(query.narrow(0, first, count));
        });
        expect_close(bank.read(query),
                     memory_read(query.to(at::kDouble), keys.to(at::kDouble),
                                 values.to(at::kDouble)),
                     2 * kMemoryReadTolerance.of(dtype));
      }
    }
  }
}

TEST(WeightsForInference, StayWhenAPassForgetsItsOwn) {
  RandomTensors random;
  const auto x = random.normal({3, 8}, at::kFloat);
  const auto weights = for_inference({random.normal({5, 8}, at::kFloat)}, at::kFloat);
  const auto before = linear(x, weights);
  weights->forget_forward();
  EXPECT_TRUE(linear(x, weights).equal(before));
}

TEST(WeightsForInference, RefuseGradients) {
  const auto weights = for_inference({at::zeros({5, 8}, at::kFloat)}, at::kFloat);
  const auto x = at::zeros({3, 8}, at::kFloat).requires_grad_(true);
  expect_error(ErrorCode::kConfig,
               "linear: expected no gradient through weights prepared for inference, got an input "
               "that needs one. Compute it under at::NoGradGuard.",
               [&] { (void)linear(x, weights); });
  expect_error(ErrorCode::kConfig,
               "norm_linear: expected no gradient through weights prepared for inference, got an "
               "input that needs one. Compute it under at::NoGradGuard.",
               [&] { (void)norm_linear(x, at::zeros({8}, at::kFloat), kEps, weights); });
  expect_error(ErrorCode::kConfig,
               "linear: expected weights [5, 8] of a pass with gradients, got weights prepared for "
               "inference.",
               [&] { (void)weights->joined(); });
}

TEST(PreparedBank, RefusesWhatDoesNotFit) {
  expect_error(ErrorCode::kShape, "memory bank: expected values of shape [4, 8], got [5, 8].", [] {
    PreparedBank(at::zeros({4, 8}, at::kFloat), at::zeros({5, 8}, at::kFloat), WeightFormat::kFp32);
  });
  const PreparedBank bank(at::zeros({4, 8}, at::kFloat), at::zeros({4, 8}, at::kFloat),
                          WeightFormat::kFp32);
  expect_error(ErrorCode::kShape, "memory bank: expected query [..., 8], got [2, 7].",
               [&] { (void)bank.read(at::zeros({2, 7}, at::kFloat)); });
}

}  // namespace
}  // namespace loopbank::ops
