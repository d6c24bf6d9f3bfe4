/// Queries and keys that are normed before their rotation or not at all, as imported models have
/// them: each version against exact arithmetic, and gradients.

#include "loopbank/ops/norm_place.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "gradient_check.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/rotated_heads.h"
#include "loopbank/ops/self_attention.h"

namespace loopbank::ops {
namespace {

using testing::expect_close;
using testing::expect_error;
using testing::expect_gradients_match;
using testing::kDtypes;
using testing::kEps;
using testing::kFusedDtypes;
using testing::RandomTensors;
using testing::values_of;
using testing::with_gaps;

constexpr NormPlace kPlaces[] = {NormPlace::kNone, NormPlace::kBefore};
constexpr AttentionHeads kGroupedHeads[] = {{1, 1}, {4, 2}, {6, 1}};
/// Gradients of norm weights are sums over all rows and heads.
constexpr Tolerance kWeightTolerance{.fp32 = 3e-5, .bf16 = 0.15};

/// Angles whose cosines and sines are as long as YaRN makes them.
RotaryTable long_angles(int64_t rows, int64_t width) {
  auto frequencies = rotary_frequencies(width, 10000.0, at::kCPU);
  frequencies.amplitude = 1.2;
  return rotary_table(3, rows, frequencies);
}

/// The projection and, with a norm, its two weights.
std::vector<at::Tensor> placed_inputs(NormPlace place, at::IntArrayRef qkv, int64_t width,
                                      at::ScalarType dtype) {
  RandomTensors random;
  std::vector<at::Tensor> inputs = {random.normal(qkv, dtype)};
  if (place != NormPlace::kNone) {
    const auto type = dtype == at::kDouble ? at::kDouble : at::kFloat;
    inputs.push_back(random.normal({width}, type).mul_(0.2).add_(1.0));
    inputs.push_back(random.normal({width}, type).mul_(0.2).add_(1.0));
  }
  return inputs;
}

HeadNorm norm_at(NormPlace place, const std::vector<at::Tensor>& inputs) {
  return place == NormPlace::kNone ? HeadNorm{{}, {}, kEps, place}
                                   : HeadNorm{inputs[1], inputs[2], kEps, place};
}

/// R rms_norm(x), or R x, one head [T, d] at a time.
std::vector<double> turned_by_hand(const at::Tensor& x, const RotaryTable& table, NormPlace place,
                                   const at::Tensor& weight) {
  const auto d = static_cast<size_t>(x.size(-1));
  const auto rows = static_cast<size_t>(x.size(-2));
  auto values = values_of(x);
  const auto w = values_of(weight);
  const auto cosines = values_of(table.cosines);
  const auto sines = values_of(table.sines);
  for (size_t begin = 0; begin < values.size(); begin += d) {
    auto* const head = values.data() + begin;
    if (place == NormPlace::kBefore) {
      double squares = 0.0;
      for (size_t i = 0; i < d; ++i) {
        squares += head[i] * head[i];
      }
      for (size_t i = 0; i < d; ++i) {
        head[i] *= w[i] / std::sqrt(squares / static_cast<double>(d) + kEps);
      }
    }
    const size_t angles = begin / d % rows * (d / 2);
    for (size_t i = 0; i < d / 2; ++i) {
      const double first = head[i];
      const double second = head[i + d / 2];
      head[i] = first * cosines[angles + i] - second * sines[angles + i];
      head[i + d / 2] = second * cosines[angles + i] + first * sines[angles + i];
    }
  }
  return values;
}

TEST(NormPlace, IsTheFormulaInEveryDtype) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    for (const auto place : kPlaces) {
      const auto x = random.normal({2, 3, 5, 6}, dtype);
      const auto weight = random.normal({6}, at::kFloat);
      const auto table = long_angles(5, 6);
      const auto y = rotate_and_norm(x, table, place, weight, kEps);
      EXPECT_EQ(y.scalar_type(), dtype);
      expect_close(y, turned_by_hand(x, table, place, weight), kRotaryNormTolerance.of(dtype));
    }
  }
  EXPECT_EQ(rotate_and_norm(at::ones({1, 1, 1, 4}), long_angles(1, 4), NormPlace::kNone, {}, kEps)
                .sizes(),
            at::IntArrayRef({1, 1, 1, 4}));
}

TEST(NormPlace, RotatedHeadsAreTheirReferenceAloneAndAmongOthers) {
  for (const auto dtype : kFusedDtypes) {
    for (const auto place : kPlaces) {
      for (const auto& heads : kGroupedHeads) {
        for (const int64_t width : {2, 6, 34, 64}) {
          const int64_t rows = 19;
          const auto inputs =
              placed_inputs(place, {rows, (heads.query + 2 * heads.key) * width}, width, dtype);
          const auto angles = long_angles(rows, width);
          const auto norm = norm_at(place, inputs);
          const auto exact = rotated_heads(inputs[0].to(at::kDouble), heads, angles, norm);
          const auto fused = rotated_heads(with_gaps(inputs[0]), heads, angles, norm);
          expect_close(fused.query, exact.query, kRotaryNormTolerance.of(dtype));
          expect_close(fused.key, exact.key, kRotaryNormTolerance.of(dtype));
          EXPECT_TRUE(fused.value.to(at::kDouble).equal(exact.value));
          const RotaryTable last{angles.cosines.narrow(0, rows - 1, 1),
                                 angles.sines.narrow(0, rows - 1, 1)};
          const auto alone = rotated_heads(inputs[0].narrow(0, rows - 1, 1), heads, last, norm);
          EXPECT_TRUE(alone.query[0].equal(fused.query[rows - 1]));
          EXPECT_TRUE(alone.key[0].equal(fused.key[rows - 1]));
        }
      }
    }
  }
}

/// The result of self_attention and the gradients of all inputs.
std::vector<at::Tensor> attention_and_gradients(NormPlace place, const AttentionHeads& heads,
                                                const std::vector<at::Tensor>& inputs,
                                                const at::Tensor& gradient, bool exact) {
  std::vector<at::Tensor> leaves;
  for (const auto& input : inputs) {
    leaves.push_back((exact ? input.to(at::kDouble) : input).detach().requires_grad_(true));
  }
  const auto width = leaves[0].size(2) / (heads.query + 2 * heads.key);
  const auto out = self_attention(leaves[0], heads, long_angles(leaves[0].size(1), width),
                                  norm_at(place, leaves));
  out.backward(gradient.to(out.scalar_type()));
  std::vector<at::Tensor> all = {out.detach()};
  for (const auto& leaf : leaves) {
    all.push_back(leaf.grad());
  }
  return all;
}

TEST(NormPlace, SelfAttentionIsExactInValueAndGradients) {
  const int threads_before = at::get_num_threads();
  for (const auto dtype : kFusedDtypes) {
    for (const auto place : kPlaces) {
      for (const int64_t steps : {1, 65, 130}) {
        for (const auto& heads : kGroupedHeads) {
          const int64_t width = steps == 65 ? 34 : 16;
          const auto columns = (heads.query + 2 * heads.key) * width;
          const auto inputs = placed_inputs(place, {2, steps, columns}, width, dtype);
          RandomTensors random;
          const auto gradient = random.normal({2, steps, heads.query * width}, dtype);
          const auto exact = attention_and_gradients(place, heads, inputs, gradient, true);
          std::vector<at::Tensor> once;
          for (const int threads : {1, 2}) {
            at::set_num_threads(threads);
            const auto fused = attention_and_gradients(place, heads, inputs, gradient, false);
            for (size_t i = 0; i < fused.size(); ++i) {
              const auto& tolerance = i < 2 ? kSelfAttentionTolerance : kWeightTolerance;
              EXPECT_TRUE(testing::is_close(fused[i], exact[i], 2 * tolerance.of(dtype)))
                  << "value " << i << ", " << steps << " steps, width " << width << ", " << dtype
                  << ", place " << static_cast<int>(place);
              EXPECT_TRUE(once.empty() || once[i].equal(fused[i])) << "threads";
            }
            once = fused;
          }
        }
      }
    }
  }
  at::set_num_threads(threads_before);
}

TEST(NormPlace, GradientsMatch) {
  for (const auto place : kPlaces) {
    const auto inputs = placed_inputs(place, {2, 3, 16}, 4, at::kDouble);
    expect_gradients_match(
        [&](const auto& in) {
          return self_attention(in[0], {2, 1}, long_angles(3, 4), norm_at(place, in));
        },
        inputs);
  }
}

TEST(NormPlace, AsksForTheWeightsOfANormAlone) {
  const auto qkv = at::ones({3, 16});
  const auto angles = long_angles(3, 4);
  EXPECT_NO_THROW((void)rotated_heads(qkv, {2, 1}, angles, {{}, {}, kEps, NormPlace::kNone}));
  expect_error(ErrorCode::kShape, "rotated_heads: expected query_weight of shape [4], got [6].",
               [&] {
                 (void)rotated_heads(qkv, {2, 1}, angles,
                                     {at::ones({6}), at::ones({4}), kEps, NormPlace::kBefore});
               });
}

}  // namespace
}  // namespace loopbank::ops
