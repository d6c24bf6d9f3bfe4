#include "loopbank/ops/attention.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/stack.h>
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
using testing::is_close;
using testing::kDtypes;
using testing::kSizes;
using testing::RandomTensors;
using testing::values_of;
using testing::with_gaps;

/// One query row over the keys that it may see.
/// @param keys, values  first of `num_keys` rows of `width`
std::vector<double> attend_by_hand(const double* query, const double* keys, const double* values,
                                   int64_t num_keys, int64_t width) {
  std::vector<double> scores;
  for (int64_t j = 0; j < num_keys; ++j) {
    double dot = 0.0;
    for (int64_t c = 0; c < width; ++c) {
      dot += query[c] * keys[j * width + c];
    }
    scores.push_back(dot / std::sqrt(static_cast<double>(width)));
  }
  const double largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0.0;
  for (auto& score : scores) {
    score = std::exp(score - largest);
    sum += score;
  }
  std::vector<double> out(static_cast<size_t>(width), 0.0);
  for (int64_t j = 0; j < num_keys; ++j) {
    for (int64_t c = 0; c < width; ++c) {
      out[static_cast<size_t>(c)] += scores[static_cast<size_t>(j)] / sum * values[j * width + c];
    }
  }
  return out;
}

std::vector<double> attention_by_hand(const at::Tensor& query, const at::Tensor& key,
                                      const at::Tensor& value) {
  const auto q = values_of(query);
  const auto k = values_of(key);
  const auto v = values_of(value);
  const int64_t heads = query.size(1), steps = query.size(2), width = query.size(3);
  const int64_t key_heads = key.size(1), num_keys = key.size(2);
  std::vector<double> out;
  for (int64_t b = 0; b < query.size(0); ++b) {
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t bank = (b * key_heads + h / (heads / key_heads)) * num_keys * width;
      for (int64_t i = 0; i < steps; ++i) {
        const auto row =
            attend_by_hand(&q[static_cast<size_t>(((b * heads + h) * steps + i) * width)],
                           k.data() + bank, v.data() + bank, i + num_keys - steps + 1, width);
        out.insert(out.end(), row.begin(), row.end());
      }
    }
  }
  return out;
}

TEST(CausalAttention, IsTheFormulaInEveryDtypeAndSize) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    for (const auto steps : kSizes) {
      for (const int64_t width : {1, 8, 9}) {
        const auto q = random.normal({2, 2, steps, width}, dtype);
        const auto k = random.normal({2, 2, steps, width}, dtype);
        const auto v = random.normal({2, 2, steps, width}, dtype);
        const auto out = causal_attention(q, k, v);
        EXPECT_EQ(out.scalar_type(), dtype);
        EXPECT_EQ(out.sizes(), q.sizes());
        expect_close(out, attention_by_hand(q, k, v), kAttentionTolerance.of(dtype));
        expect_close(causal_attention(with_gaps(q), with_gaps(k), with_gaps(v)),
                     attention_by_hand(q, k, v), kAttentionTolerance.of(dtype));
      }
    }
  }
}

TEST(CausalAttention, TakesHeadsAsViewsOfTheirProjection) {
  RandomTensors random;
  const auto heads_of = [&] { return random.normal({2, 9, 3, 8}, at::kFloat).transpose(1, 2); };
  const auto q = heads_of();
  const auto k = heads_of();
  const auto v = heads_of();
  expect_close(causal_attention(q, k, v), attention_by_hand(q, k, v), kAttentionTolerance.fp32);
}

TEST(CausalAttention, TheFirstTokenSeesOnlyItself) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    const auto q = random.normal({1, 2, 5, 8}, dtype);
    const auto v = random.normal({1, 2, 5, 8}, dtype);
    const auto out = causal_attention(q * 100, q * 100, v);
    EXPECT_TRUE(out.select(2, 0).equal(v.select(2, 0)));
    EXPECT_TRUE(causal_attention(q.narrow(2, 0, 1), q.narrow(2, 0, 1), v.narrow(2, 0, 1))
                    .equal(v.narrow(2, 0, 1)));
  }
}

TEST(CausalAttention, TheFutureChangesNothing) {
  RandomTensors random;
  const auto q = random.normal({1, 2, 9, 8});
  const auto k = random.normal({1, 2, 9, 8});
  const auto v = random.normal({1, 2, 9, 8});
  auto later_k = k.clone();
  auto later_v = v.clone();
  later_k.narrow(2, 6, 3).mul_(-50.0);
  later_v.narrow(2, 6, 3).fill_(1e6);
  const auto out = causal_attention(q, k, v);
  const auto later = causal_attention(q, later_k, later_v);
  expect_close(later.narrow(2, 0, 6), out.narrow(2, 0, 6), kAttentionTolerance.fp64);
  EXPECT_FALSE(is_close(later.narrow(2, 6, 3), out.narrow(2, 6, 3), 1.0));
}

TEST(CausalAttention, HugeScoresPickOneKeyAndNoNan) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    // Every key is the query of its own place times 1e6: all weight is on the largest product.
    const auto q = random.normal({1, 1, 8, 4}, dtype) * 1000;
    const auto k = random.normal({1, 1, 8, 4}, dtype) * 1000;
    const auto v = random.normal({1, 1, 8, 4}, dtype);
    const auto out = causal_attention(q, k, v);
    EXPECT_TRUE(out.isfinite().all().item<bool>());
    expect_close(out, attention_by_hand(q, k, v), kAttentionTolerance.of(dtype));
  }
}

TEST(CausalAttention, NewTokensOverACacheAreTheLastRowsOfAll) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    for (const int64_t total : {9, 16, 17}) {
      const auto q = random.normal({2, 4, total, 8}, dtype);
      const auto k = random.normal({2, 2, total, 8}, dtype);
      const auto v = random.normal({2, 2, total, 8}, dtype);
      const auto full = causal_attention(q, k, v);
      for (const int64_t fresh : {int64_t{1}, int64_t{2}, int64_t{7}, total - 1}) {
        const auto part = causal_attention(q.narrow(2, total - fresh, fresh), k, v);
        EXPECT_EQ(part.scalar_type(), dtype);
        expect_close(part, full.narrow(2, total - fresh, fresh), kAttentionTolerance.of(dtype));
      }
    }
  }
}

TEST(CausalAttention, GroupedKeyHeadsAreRepeatedHeads) {
  RandomTensors random;
  const auto q = random.normal({2, 6, 7, 4});
  for (const int64_t key_heads : {1, 2, 3, 6}) {
    const auto k = random.normal({2, key_heads, 9, 4});
    const auto v = random.normal({2, key_heads, 9, 4});
    expect_close(causal_attention(q, k, v), attention_by_hand(q, k, v), kAttentionTolerance.fp64);
    // Head h reads key head h / (H / H_kv): neighbours share one.
    std::vector<at::Tensor> k_repeated;
    std::vector<at::Tensor> v_repeated;
    for (int64_t h = 0; h < 6; ++h) {
      k_repeated.push_back(k.select(1, h / (6 / key_heads)));
      v_repeated.push_back(v.select(1, h / (6 / key_heads)));
    }
    expect_close(causal_attention(q, k, v),
                 causal_attention(q, at::stack(k_repeated, 1), at::stack(v_repeated, 1)),
                 kAttentionTolerance.fp64);
  }
}

TEST(CausalAttention, GradientsMatch) {
  RandomTensors random;
  const auto attention = [](const auto& in) { return causal_attention(in[0], in[1], in[2]); };
  expect_gradients_match(attention, {random.normal({2, 2, 5, 3}), random.normal({2, 2, 5, 3}),
                                     random.normal({2, 2, 5, 3})});
  // Grouped heads and a cache: keys that the first new token does not see still get a gradient.
  expect_gradients_match(attention, {random.normal({1, 4, 3, 2}), random.normal({1, 2, 6, 2}),
                                     random.normal({1, 2, 6, 2})});
  expect_gradients_match(attention, {random.normal({1, 1, 1, 4}), random.normal({1, 1, 1, 4}),
                                     random.normal({1, 1, 1, 4})});
}

void expect_attention_refused(const std::string& got, at::IntArrayRef query, at::IntArrayRef key) {
  expect_error(ErrorCode::kShape,
               "causal_attention: expected query [B, H, T, d] and key [B, H_kv, S >= T, d] with H "
               "a multiple of H_kv, got " +
                   got + ".",
               [&] { causal_attention(at::zeros(query), at::zeros(key), at::zeros(key)); });
}

TEST(CausalAttention, RefusesMoreQueriesThanKeys) {
  // Its first rows would have all keys masked, and softmax over nothing is NaN.
  expect_attention_refused("[1, 2, 5, 8] and [1, 2, 4, 8]", {1, 2, 5, 8}, {1, 2, 4, 8});
}

TEST(CausalAttention, RefusesHeadsThatDoNotDivide) {
  expect_attention_refused("[1, 4, 5, 8] and [1, 3, 5, 8]", {1, 4, 5, 8}, {1, 3, 5, 8});
  expect_attention_refused("[1, 4, 5, 8] and [1, 0, 5, 8]", {1, 4, 5, 8}, {1, 0, 5, 8});
}

TEST(CausalAttention, RefusesShapesThatDoNotFit) {
  expect_attention_refused("[1, 2, 5, 8] and [1, 2, 5, 7]", {1, 2, 5, 8}, {1, 2, 5, 7});
  expect_attention_refused("[2, 2, 5, 8] and [1, 2, 5, 8]", {2, 2, 5, 8}, {1, 2, 5, 8});
  expect_attention_refused("[2, 5, 8] and [2, 5, 8]", {2, 5, 8}, {2, 5, 8});
  const auto q = at::zeros({1, 2, 5, 8});
  expect_error(ErrorCode::kShape,
               "causal_attention: expected value of shape [1, 2, 5, 8], got [1, 1, 5, 8].", [&] {
                 causal_attention(q, q, at::zeros({1, 1, 5, 8}));
               });
}

}  // namespace
}  // namespace loopbank::ops
