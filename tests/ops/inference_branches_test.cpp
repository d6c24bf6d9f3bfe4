/// The ops of a layer with weights prepared for inference: their values, and that a row's do not
/// depend on the other rows. What they share with training is tested with them.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <functional>

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

using testing::expect_error;
using testing::expect_near_largest;
using testing::prepare;
using testing::RandomTensors;

constexpr int64_t kD = 72;
constexpr int64_t kF = 100;
constexpr int64_t kRows = 1100;  // more than twice as many as an op takes at a time

struct Compute {
  at::ScalarType dtype;
  WeightFormat format;
};
constexpr Compute kComputes[] = {{at::kFloat, WeightFormat::kFp32},
                                 {at::kBFloat16, WeightFormat::kBf16}};

std::shared_ptr<LinearWeights> for_inference(const std::vector<at::Tensor>& masters,
                                             const Compute& compute) {
  return std::make_shared<LinearWeights>(
      std::make_shared<const InferenceWeights>(masters, compute.format), compute.dtype);
}

/// Expects op(rows) to give the rows of op(all rows), bit for bit, however many they are and on any
/// number of threads.
void expect_rows_alone(const char* name, const at::Tensor& x,
                       const std::function<at::Tensor(const at::Tensor&)>& op) {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  const auto all = op(x);
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    for (const int64_t rows : {1, 2, 7, 37, 512}) {
      for (const int64_t first : {0, 3, 513}) {
        const auto some = op(x.narrow(0, first, rows));
        EXPECT_TRUE(some.equal(all.narrow(0, first, rows)))
            << name << " of " << rows << " rows from " << first << ", " << x.scalar_type()
            << ", threads: " << threads;
      }
    }
  }
  at::set_num_threads(before);
}

/// What a test of the branches has at hand.
struct Branches {
  RandomTensors random = RandomTensors();
  at::Tensor a = random.normal({kRows, kD}, at::kFloat);
  at::Tensor norm = random.normal({kD}, at::kFloat) + 1.0;
  at::Tensor scale = at::full({1}, 0.3, at::kFloat);
  at::Tensor gate = random.normal({kF, kD}, at::kFloat) / 8.0;
  at::Tensor up = random.normal({kF, kD}, at::kFloat) / 8.0;
  at::Tensor down = random.normal({kD, kF}, at::kFloat) / 10.0;
};

TEST(InferenceBranches, AreThoseOfThePassWithGradients) {
  const Branches b;
  const at::NoGradGuard no_grad;
  for (const auto& compute : kComputes) {
    const bool is_fp32 = compute.dtype == at::kFloat;
    const FeedForwardWeights trained{.norm = b.norm,
                                     .eps = 1e-5,
                                     .gate_up = prepare({b.gate, b.up}, compute.dtype),
                                     .down = prepare({b.down}, compute.dtype)};
    const FeedForwardWeights prepared{.norm = b.norm,
                                      .eps = 1e-5,
                                      .gate_up = for_inference({b.gate, b.up}, compute),
                                      .down = for_inference({b.down}, compute)};
    prepared.gate_up->forget_forward();  // they stay
    for (const auto& scale : {b.scale, at::Tensor()}) {
      const auto y = feed_forward(b.a, prepared, scale);
      EXPECT_EQ(y.scalar_type(), at::kFloat);
      expect_near_largest({y}, {feed_forward(b.a, trained, scale)},
                          kFeedForwardTolerance.of(compute.dtype));
    }
    const auto both = norm_linear(b.a, b.norm, 1e-5, prepared.gate_up);
    EXPECT_EQ(both.y.scalar_type(), compute.dtype);
    EXPECT_TRUE(both.a.equal(b.a));
    expect_near_largest({both.y.to(at::kFloat)},
                        {norm_linear(b.a, b.norm, 1e-5, trained.gate_up).y.to(at::kFloat)},
                        is_fp32 ? 1e-5 : 0.02);
    const auto x = b.a.to(compute.dtype);
    expect_near_largest({linear(x, prepared.gate_up).to(at::kFloat)},
                        {linear(x, trained.gate_up).to(at::kFloat)}, is_fp32 ? 1e-5 : 0.01);
  }
}

TEST(InferenceBranches, GiveARowTheSameAloneAndAmongOthers) {
  const Branches b;
  const at::NoGradGuard no_grad;
  for (const auto& compute : kComputes) {
    const FeedForwardWeights weights{.norm = b.norm,
                                     .eps = 1e-5,
                                     .gate_up = for_inference({b.gate, b.up}, compute),
                                     .down = for_inference({b.down}, compute)};
    expect_rows_alone("feed_forward", b.a,
                      [&](const at::Tensor& a) { return feed_forward(a, weights, b.scale); });
    expect_rows_alone("norm_linear", b.a, [&](const at::Tensor& a) {
      return norm_linear(a, b.norm, 1e-5, weights.gate_up).y;
    });
    expect_rows_alone("linear", b.a.to(compute.dtype),
                      [&](const at::Tensor& x) { return linear(x, weights.gate_up); });
  }
}

TEST(InferenceBranches, AFeedForwardIsItsSteps) {
  Branches b;
  const at::NoGradGuard no_grad;
  for (const auto& compute : kComputes) {
    const FeedForwardWeights weights{.norm = b.norm,
                                     .eps = 1e-5,
                                     .gate_up = for_inference({b.gate, b.up}, compute),
                                     .down = for_inference({b.down}, compute)};
    const auto gate_up = norm_linear(b.a, b.norm, 1e-5, weights.gate_up).y;
    const auto steps = scaled_residual(b.a, linear(swiglu(gate_up), weights.down), b.scale);
    EXPECT_TRUE(feed_forward(b.a, weights, b.scale).equal(steps));
  }
}

TEST(RowByRowOps, GiveARowTheSameAloneAndAmongOthers) {
  RandomTensors random;
  const at::NoGradGuard no_grad;
  const auto weight = random.normal({kD}, at::kFloat);
  const auto bias = random.normal({kD}, at::kFloat);
  const auto router = random.normal({1, kD + 1}, at::kFloat);
  const auto one = random.normal({1}, at::kFloat);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto x = random.normal({kRows, kD}, dtype);
    const auto state = x.to(at::kFloat);
    for (const auto out : {at::kFloat, at::kBFloat16}) {
      expect_rows_alone("rms_norm", x,
                        [&](const at::Tensor& row) { return rms_norm(row, weight, 1e-5, out); });
      expect_rows_alone("layer_norm", x, [&](const at::Tensor& row) {
        return layer_norm(row, weight, bias, 1e-5, out);
      });
    }
    expect_rows_alone("swiglu", x, [](const at::Tensor& row) { return swiglu(row); });
    expect_rows_alone("scaled_residual", state, [&](const at::Tensor& row) {
      return scaled_residual(row, row.to(dtype), one);
    });
    expect_rows_alone("router_logits", state,
                      [&](const at::Tensor& row) { return router_logits(row, router, one, 2.0); });
    expect_rows_alone("gated_sum", state, [&](const at::Tensor& row) {
      const auto memory = row.to(dtype);
      return gated_sum(row, at::cat({memory, memory * 2.0}, -1), {bias, weight},
                       {memory, memory * 3.0});
    });
  }
}

TEST(RowByRowOps, HaltARowTheSameAloneAndAmongOthers) {
  RandomTensors random;
  const at::NoGradGuard no_grad;
  const auto logits = random.normal({kRows, 2}, at::kFloat);
  const auto halting_of = [](const at::Tensor& rows) {
    const auto by_loop = rows.t().contiguous();  // [2, rows]
    return halting_distribution(
        {by_loop.narrow(0, 0, 1), by_loop.narrow(0, 1, 1)});  // [2, 1, rows]
  };
  expect_rows_alone("halting_distribution", logits, [&](const at::Tensor& rows) {
    return halting_of(rows).select(1, 0).t().contiguous();
  });
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto x = random.normal({kRows, kD + 2}, at::kFloat);
    expect_rows_alone("mix_by_halting", x, [&](const at::Tensor& rows) {
      const auto state = rows.narrow(1, 0, kD).to(dtype).contiguous().unsqueeze(0);
      return mix_by_halting({state, state * 2.0}, halting_of(rows.narrow(1, kD, 2))).state[0];
    });
  }
}

TEST(PreparedBank, ReadsAsTheOpDoes) {
  RandomTensors random;
  const at::NoGradGuard no_grad;
  for (const auto& compute : kComputes) {
    for (const int64_t slots : {1, 17, 300}) {
      const auto keys = random.normal({slots, kD}, compute.dtype);
      const auto values = random.normal({slots, kD}, compute.dtype);
      const PreparedBank bank(keys, values, compute.format);
      EXPECT_EQ(bank.slots(), slots);
      const auto query = random.normal({2, 5, kD}, compute.dtype);
      const auto m = bank.read(query);
      EXPECT_EQ(m.scalar_type(), compute.dtype);
      expect_near_largest({m.to(at::kFloat)}, {memory_read(query, keys, values).to(at::kFloat)},
                          kMemoryReadTolerance.of(compute.dtype));
    }
  }
}

TEST(PreparedBank, ReadsForARowTheSameAloneAndAmongOthers) {
  RandomTensors random;
  const at::NoGradGuard no_grad;
  for (const auto& compute : kComputes) {
    const auto keys = random.normal({600, kD}, compute.dtype);
    const auto values = random.normal({600, kD}, compute.dtype);
    const PreparedBank bank(keys, values, compute.format);
    expect_rows_alone("read", random.normal({kRows, kD}, compute.dtype),
                      [&](const at::Tensor& query) { return bank.read(query); });
  }
}

TEST(InferenceBranches, RefuseGradientsAndWhatDoesNotFit) {
  RandomTensors random;
  const auto weights = for_inference({random.normal({4, 3}, at::kFloat)}, kComputes[0]);
  const auto x = random.normal({2, 3}, at::kFloat);
  const auto with_gradient = random.normal({2, 3}, at::kFloat).requires_grad_(true);
  const auto norm = at::ones({3}, at::kFloat);
  const auto sentence = [](const std::string& op) {
    return op +
           ": expected no gradient through weights prepared for inference, got an input that "
           "needs one. Compute it under at::NoGradGuard.";
  };
  expect_error(ErrorCode::kConfig, sentence("linear"), [&] { linear(with_gradient, weights); });
  expect_error(ErrorCode::kConfig, sentence("norm_linear"),
               [&] { norm_linear(with_gradient, norm, 1e-5, weights); });
  expect_error(ErrorCode::kConfig,
               "linear: expected weights [4, 3] of a pass with gradients, got weights prepared for "
               "inference.",
               [&] { (void)weights->joined(); });
  EXPECT_EQ(weights->gradient(), nullptr);
  const PreparedBank bank(random.normal({4, 3}, at::kFloat), random.normal({4, 3}, at::kFloat),
                          WeightFormat::kFp32);
  expect_error(ErrorCode::kConfig, sentence("memory bank"),
               [&] { (void)bank.read(with_gradient); });
  expect_error(ErrorCode::kShape, "memory bank: expected query [..., 3], got [2, 4].", [&] {
    (void)bank.read(random.normal({2, 4}, at::kFloat));
  });
  expect_error(ErrorCode::kShape, "memory bank: expected values of shape [4, 3], got [5, 3].", [&] {
    PreparedBank(random.normal({4, 3}, at::kFloat), random.normal({5, 3}, at::kFloat),
                 WeightFormat::kFp32);
  });
  EXPECT_EQ(linear(x, weights).sizes(), at::IntArrayRef({2, 4}));
}

}  // namespace
}  // namespace loopbank::ops
