/// The fused self_attention against its reference, and what only the fused one promises.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "gradient_check.h"
#include "loopbank/ops/cpu/memory_pool.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/self_attention.h"
#include "memory_peak.h"
#include "rotary_angles.h"

namespace loopbank::ops {
namespace {

using testing::angles_of_steps;
using testing::expect_close;
using testing::is_close;
using testing::kEps;
using testing::kFusedDtypes;
using testing::peak_bytes_of;
using testing::RandomTensors;
using testing::with_gaps;

/// Gradients of the norms' weights, sums over all rows and heads, of thousands here.
constexpr Tolerance kWeightGradients{.fp32 = 3e-5, .bf16 = 0.15};
/// In bf16 the fused version rounds less often than the reference: its error, root mean square over
/// all elements, is at most this many times that of the reference.
constexpr double kMostOfReferenceError = 1.1;
/// Values of fewer elements have the errors that chance gives them, up to 1.18 times the
/// reference's for 120 elements: those of all sizes are compared together.
constexpr int64_t kFewElements = 1000;
/// A weight's gradient has few elements, and its errors are what chance makes of them.
constexpr double kMostOfReferenceErrorOfWeights = 1.5;
/// Errors that no rounding to bf16 explains.
constexpr double kFp32Error = 3e-6;

constexpr AttentionHeads kHeads[] = {{1, 1}, {4, 4}, {4, 2}, {6, 1}};

struct AttentionInputs {
  AttentionHeads heads;
  at::Tensor qkv;
  at::Tensor query_weight;
  at::Tensor key_weight;
  at::Tensor gradient;  // gradient of the result
};

AttentionInputs random_attention_inputs(int64_t batch, int64_t steps, const AttentionHeads& heads,
                                        int64_t width, at::ScalarType dtype) {
  RandomTensors random;
  const auto columns = (heads.query + 2 * heads.key) * width;
  return {.heads = heads,
          .qkv = random.normal({batch, steps, columns}, dtype),
          .query_weight = random.normal({width}, at::kFloat).mul_(0.2).add_(1.0),
          .key_weight = random.normal({width}, at::kFloat).mul_(0.2).add_(1.0),
          .gradient = random.normal({batch, steps, heads.query * width}, dtype)};
}

/// The result and the gradients of qkv, query_weight and key_weight.
using Values4 = std::array<at::Tensor, 4>;

Values4 run_attention(const AttentionInputs& inputs, bool exact = false) {
  const auto leaf = [&](const at::Tensor& x) {
    return (exact ? x.to(at::kDouble) : x).detach().requires_grad_(true);
  };
  const auto qkv = leaf(inputs.qkv);
  const auto query_weight = leaf(inputs.query_weight);
  const auto key_weight = leaf(inputs.key_weight);
  const auto width = query_weight.size(0);
  const auto out = self_attention(qkv, inputs.heads, angles_of_steps(qkv.size(1), width),
                                  {query_weight, key_weight, kEps});
  out.backward(inputs.gradient.to(out.scalar_type()));
  return {out.detach(), qkv.grad(), query_weight.grad(), key_weight.grad()};
}

Values4 run_reference(const AttentionInputs& inputs, bool exact = false) {
  const KernelsScope scope(Kernels::kReference);
  return run_attention(inputs, exact);
}

double squared_error(const at::Tensor& x, const at::Tensor& exact) {
  return (x.to(at::kDouble) - exact).square().sum().item<double>();
}

/// Squared errors over many cases.
struct SquaredErrors {
  double fused = 0.0;
  double reference = 0.0;
};

/// Of what has too few elements to be compared by itself.
struct PooledErrors {
  SquaredErrors weights;  // of the gradients of weights
  SquaredErrors few;      // of the other values that have few elements
};

/// @param factor  of the tolerances, for scores of more than normal size
void expect_is_reference(const AttentionInputs& inputs, PooledErrors& pooled, double factor = 1.0) {
  const auto dtype = inputs.qkv.scalar_type();
  const auto exact = run_reference(inputs, /*exact=*/true);
  const auto reference = run_reference(inputs);
  const int threads_before = at::get_num_threads();
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    const auto fused = run_attention(inputs);
    for (size_t i = 0; i < fused.size(); ++i) {
      const bool is_weight = i >= 2;
      const auto& tolerance = is_weight ? kWeightGradients : kSelfAttentionTolerance;
      EXPECT_EQ(fused[i].scalar_type(), reference[i].scalar_type());
      EXPECT_TRUE(is_close(fused[i], exact[i], factor * tolerance.of(dtype)))
          << "value " << i << " of qkv " << inputs.qkv.sizes() << ", " << inputs.heads.query
          << " heads, " << dtype;
      const auto fused_error = squared_error(fused[i], exact[i]);
      const auto reference_error = squared_error(reference[i], exact[i]);
      if (is_weight || exact[i].numel() < kFewElements) {
        auto& errors = is_weight ? pooled.weights : pooled.few;
        errors.fused += fused_error;
        errors.reference += reference_error;
      } else if (dtype == at::kBFloat16) {
        const auto root = std::sqrt(static_cast<double>(exact[i].numel()));
        EXPECT_LE(std::sqrt(fused_error) / root,
                  kMostOfReferenceError * std::sqrt(reference_error) / root + kFp32Error)
            << "value " << i << " of qkv " << inputs.qkv.sizes();
      }
    }
  }
  at::set_num_threads(threads_before);
}

void expect_is_reference(const AttentionInputs& inputs, double factor = 1.0) {
  PooledErrors unused;
  expect_is_reference(inputs, unused, factor);
}

void expect_is_reference_in_every_size(at::ScalarType dtype) {
  constexpr int64_t kWidths[] = {2, 6, 16, 64, 10};
  size_t i = 0;
  PooledErrors all;
  for (const int64_t steps : {1, 2, 63, 64, 65, 130, 257}) {
    for (const auto& heads : kHeads) {
      const auto batch = static_cast<int64_t>(i % 3) + 1;
      const auto width = kWidths[i++ % std::size(kWidths)];
      expect_is_reference(random_attention_inputs(batch, steps, heads, width, dtype), all);
    }
  }
  if (dtype == at::kBFloat16) {
    EXPECT_LE(std::sqrt(all.few.fused), kMostOfReferenceError * std::sqrt(all.few.reference));
    EXPECT_LE(std::sqrt(all.weights.fused),
              kMostOfReferenceErrorOfWeights * std::sqrt(all.weights.reference));
  }
}

TEST(SelfAttentionFused, IsTheReferenceInFp32) {
  expect_is_reference_in_every_size(at::kFloat);
}

TEST(SelfAttentionFused, IsTheReferenceInBf16) {
  expect_is_reference_in_every_size(at::kBFloat16);
}

TEST(SelfAttentionFused, TakesEveryWidthAtTheEdgesOfATile) {
  for (const auto dtype : kFusedDtypes) {
    for (const int64_t width : {2, 6, 16, 34, 64, 66}) {
      expect_is_reference(random_attention_inputs(1, 65, {4, 2}, width, dtype));
    }
  }
}

TEST(SelfAttentionFused, GoesOverManyBlocksOfKeys) {
  for (const auto dtype : kFusedDtypes) {
    expect_is_reference(random_attention_inputs(1, 513, {2, 1}, 16, dtype));
    // Larger scores: the maximum of a row moves from block to block and decides.
    auto inputs = random_attention_inputs(1, 1100, {2, 1}, 16, dtype);
    inputs.query_weight.mul_(3);
    expect_is_reference(inputs, /*factor=*/5.0);
  }
}

TEST(SelfAttentionFused, TakesInputsWithGaps) {
  for (const auto dtype : kFusedDtypes) {
    auto inputs = random_attention_inputs(2, 37, {4, 2}, 6, dtype);
    inputs.qkv = with_gaps(inputs.qkv);
    inputs.query_weight = with_gaps(inputs.query_weight);
    inputs.key_weight = with_gaps(inputs.key_weight);
    inputs.gradient = with_gaps(inputs.gradient);
    expect_is_reference(inputs);
  }
}

TEST(SelfAttentionFused, TakesAGradientThatIsOneNumberExpanded) {
  auto inputs = random_attention_inputs(2, 37, {4, 2}, 6, at::kFloat);
  inputs.gradient = at::ones({1}).expand(inputs.gradient.sizes());
  expect_is_reference(inputs);
}

TEST(SelfAttentionFused, TheNumberOfThreadsChangesNoBit) {
  const int threads_before = at::get_num_threads();
  for (const auto dtype : kFusedDtypes) {
    const auto inputs = random_attention_inputs(3, 130, {4, 2}, 64, dtype);
    at::set_num_threads(1);
    const auto one = run_attention(inputs);
    at::set_num_threads(2);
    const auto two = run_attention(inputs);
    for (size_t i = 0; i < one.size(); ++i) {
      EXPECT_TRUE(one[i].equal(two[i])) << "value " << i;
    }
  }
  at::set_num_threads(threads_before);
}

TEST(SelfAttentionFused, TheFutureChangesNoBit) {
  for (const auto dtype : kFusedDtypes) {
    for (const int64_t seen : {1, 63, 64, 100, 599}) {
      auto inputs = random_attention_inputs(1, 600, {2, 1}, 16, dtype);
      const auto before = run_attention(inputs)[0];
      inputs.qkv = inputs.qkv.clone();
      inputs.qkv.narrow(1, seen, 600 - seen).mul_(-50.0);
      const auto after = run_attention(inputs)[0];
      EXPECT_TRUE(after.narrow(1, 0, seen).equal(before.narrow(1, 0, seen)));
      EXPECT_FALSE(after.narrow(1, seen, 1).equal(before.narrow(1, seen, 1)));
    }
  }
}

TEST(SelfAttentionFused, HugeScoresPickOneKeyAndNoNan) {
  // Scores of 1e7 and more, where fp32 counts in whole numbers.
  for (const auto dtype : kFusedDtypes) {
    auto inputs = random_attention_inputs(2, 70, {2, 1}, 16, dtype);
    inputs.query_weight = at::full({16}, 1000.0F);
    inputs.key_weight = at::full({16}, 1000.0F);
    const auto [out, dqkv, dquery_weight, dkey_weight] = run_attention(inputs);
    EXPECT_TRUE(dqkv.isfinite().all().item<bool>());
    const auto values = inputs.qkv.narrow(2, 3 * 16, 16);  // [B, T, d]
    const auto rows = out.view({2, 70, 2, 1, 16});         // [B, T, H, 1, d]
    const auto is_value = rows.eq(values.view({2, 1, 1, 70, 16})).all(/*dim=*/4);  // [B, T, H, T]
    EXPECT_TRUE(is_value.any(/*dim=*/3).all().item<bool>());
    // Each row's gradient goes to the value that it picked, whole.
    expect_close(dqkv.narrow(2, 3 * 16, 16).to(at::kFloat).sum(1),
                 inputs.gradient.to(at::kFloat).view({2, 140, 16}).sum(1),
                 dtype == at::kFloat ? 1e-4 : 0.2);
  }
}

TEST(SelfAttentionFused, ANanShowsFromItsTokenOn) {
  for (const auto dtype : kFusedDtypes) {
    auto inputs = random_attention_inputs(1, 200, {2, 1}, 16, dtype);
    inputs.qkv[0][130][5] = NAN;   // a query of head 0
    inputs.qkv[0][150][40] = NAN;  // a key
    const auto out = run_attention(inputs)[0][0];
    EXPECT_TRUE(out[130].narrow(0, 0, 16).isnan().all().item<bool>());
    EXPECT_FALSE(out[131].isnan().any().item<bool>());
    EXPECT_TRUE(out.narrow(0, 150, 50).isnan().all().item<bool>());
    EXPECT_FALSE(out.narrow(0, 0, 128).isnan().any().item<bool>());
  }
}

TEST(SelfAttentionFused, GivesAGradientToTheOnlyOneThatAsks) {
  const auto inputs = random_attention_inputs(1, 9, {2, 1}, 6, at::kBFloat16);
  for (size_t asking = 0; asking < 3; ++asking) {
    std::array<at::Tensor, 3> leaves = {inputs.qkv.clone(), inputs.query_weight.clone(),
                                        inputs.key_weight.clone()};
    leaves[asking].requires_grad_(true);
    self_attention(leaves[0], inputs.heads, angles_of_steps(9, 6), {leaves[1], leaves[2], kEps})
        .backward(inputs.gradient);
    for (size_t i = 0; i < leaves.size(); ++i) {
      EXPECT_EQ(leaves[i].grad().defined(), i == asking);
    }
  }
}

/// Bytes that a forward and a backward pass over T tokens take from the pool, at their peak and
/// without their inputs.
size_t peak_bytes(int64_t steps) {
  const auto inputs = random_attention_inputs(1, steps, {2, 1}, 16, at::kBFloat16);
  return peak_bytes_of([&] { run_attention(inputs); });
}

TEST(SelfAttentionFused, MemoryGrowsLinearlyWithTokens) {
  if (!install_memory_pool()) {
    GTEST_SKIP() << "this LibTorch keeps its own memory";
  }
  const int threads_before = at::get_num_threads();
  at::set_num_threads(1);
  constexpr size_t kBytesPerToken = 1536;  // result, gradient, keys, values and their sums
  constexpr size_t kTileBytes = size_t{1} << 20U;
  for (const int64_t steps : {512, 2048, 8192}) {
    const auto bytes = peak_bytes(steps);
    EXPECT_LE(bytes, kTileBytes + static_cast<size_t>(steps) * kBytesPerToken) << steps;
  }
  // The measure sees scores where there are some: [1, H, T, T] fp32 at least.
  const KernelsScope reference(Kernels::kReference);
  EXPECT_GE(peak_bytes(2048), size_t{2} * 2048 * 2048 * sizeof(float));
  at::set_num_threads(threads_before);
}

}  // namespace
}  // namespace loopbank::ops
