#include "loopbank/ops/self_attention.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "gradient_check.h"
#include "loopbank/ops/attention.h"
#include "loopbank/ops/kernels.h"
#include "rotary_angles.h"

namespace loopbank::ops {
namespace {

using testing::angles_of_steps;
using testing::expect_close;
using testing::expect_error;
using testing::expect_gradients_match;
using testing::kDtypes;
using testing::kEps;
using testing::RandomTensors;
using testing::with_gaps;

/// Head by head from the places that the header names.
at::Tensor by_heads(const at::Tensor& qkv, const AttentionHeads& heads, const RotaryTable& angles,
                    const HeadNorm& norm) {
  const auto width = qkv.size(2) / (heads.query + 2 * heads.key);
  const auto part = [&](int64_t at) { return qkv.narrow(2, at * width, width).unsqueeze(1); };
  std::vector<at::Tensor> out;
  for (int64_t head = 0; head < heads.query; ++head) {
    const auto key_head = head / (heads.query / heads.key);
    const auto key = part(heads.query + key_head);
    const auto value = part(heads.query + heads.key + key_head);
    const auto mixed =
        causal_attention(rotary_norm(part(head), angles, norm.query_weight, norm.eps),
                         rotary_norm(key, angles, norm.key_weight, norm.eps), value);
    out.push_back(mixed.squeeze(1));
  }
  return at::cat(out, 2);
}

TEST(SelfAttention, HeadsLieSideBySide) {
  RandomTensors random;
  for (const auto dtype : kDtypes) {
    for (const auto& heads : {AttentionHeads{1, 1}, {4, 4}, {4, 2}, {6, 1}}) {
      const auto qkv = random.normal({2, 9, (heads.query + 2 * heads.key) * 6}, dtype);
      const HeadNorm norm{random.normal({6}).to(at::kFloat), random.normal({6}).to(at::kFloat),
                          kEps};
      const auto out = self_attention(qkv, heads, angles_of_steps(9, 6), norm);
      EXPECT_EQ(out.scalar_type(), dtype);
      expect_close(out, by_heads(qkv, heads, angles_of_steps(9, 6), norm),
                   2 * kSelfAttentionTolerance.of(dtype));
      const KernelsScope reference(Kernels::kReference);
      expect_close(self_attention(with_gaps(qkv), heads, angles_of_steps(9, 6), norm),
                   by_heads(qkv, heads, angles_of_steps(9, 6), norm),
                   kSelfAttentionTolerance.of(dtype));
    }
  }
}

TEST(SelfAttention, GradientsMatch) {
  RandomTensors random;
  for (const auto& heads : {AttentionHeads{2, 2}, {4, 2}, {3, 1}}) {
    const auto attention = [&](const auto& in) {
      return self_attention(in[0], heads, angles_of_steps(3, 4), {in[1], in[2], kEps});
    };
    expect_gradients_match(attention, {random.normal({2, 3, (heads.query + 2 * heads.key) * 4}),
                                       random.normal({4}), random.normal({4})});
  }
}

TEST(SelfAttention, TakesNoTokens) {
  const auto qkv = at::zeros({2, 0, 12});
  const auto out =
      self_attention(qkv, {1, 1}, angles_of_steps(0, 4), {at::ones({4}), at::ones({4}), kEps});
  EXPECT_EQ(out.sizes(), (at::IntArrayRef{2, 0, 4}));
}

void expect_self_attention_refused(const std::string& text, const at::Tensor& qkv,
                                   const AttentionHeads& heads, const RotaryTable& angles,
                                   const HeadNorm& norm) {
  expect_error(ErrorCode::kShape, "self_attention: " + text,
               [&] { self_attention(qkv, heads, angles, norm); });
}

TEST(SelfAttention, RefusesHeadsThatDoNotDivide) {
  const auto qkv = at::zeros({1, 3, 40});
  const HeadNorm norm{at::ones({4}), at::ones({4}), kEps};
  const auto text = "expected H a multiple of H_kv, both at least 1, got ";
  expect_self_attention_refused(text + std::string("4 and 3."), qkv, {4, 3}, angles_of_steps(3, 4),
                                norm);
  expect_self_attention_refused(text + std::string("4 and 0."), qkv, {4, 0}, angles_of_steps(3, 4),
                                norm);
  expect_self_attention_refused(text + std::string("0 and 1."), qkv, {0, 1}, angles_of_steps(3, 4),
                                norm);
}

TEST(SelfAttention, RefusesShapesThatDoNotFit) {
  const HeadNorm norm{at::ones({4}), at::ones({4}), kEps};
  const auto expected = [](const std::string& got) {
    return "expected qkv [B, T, 8 d] with d even (4 query heads, 2 key heads, 2 value heads), "
           "got " +
           got + ".";
  };
  const AttentionHeads heads{4, 2};
  expect_self_attention_refused(expected("[1, 3, 33]"), at::zeros({1, 3, 33}), heads,
                                angles_of_steps(3, 4), norm);
  expect_self_attention_refused(expected("[1, 3, 24]"), at::zeros({1, 3, 24}), heads,
                                angles_of_steps(3, 4), norm);
  expect_self_attention_refused(expected("[1, 3, 0]"), at::zeros({1, 3, 0}), heads,
                                angles_of_steps(3, 4), norm);
  expect_self_attention_refused(expected("[3, 32]"), at::zeros({3, 32}), heads,
                                angles_of_steps(3, 4), norm);
  const auto qkv = at::zeros({1, 3, 32});
  expect_self_attention_refused("expected cosines of shape [3, 2], got [4, 2].", qkv, heads,
                                angles_of_steps(4, 4), norm);
  expect_self_attention_refused("expected sines of shape [3, 2], got [4, 2].", qkv, heads,
                                {angles_of_steps(3, 4).cosines, angles_of_steps(4, 4).sines}, norm);
  expect_self_attention_refused("expected query_weight of shape [4], got [5].", qkv, heads,
                                angles_of_steps(3, 4), {at::ones({5}), at::ones({4}), kEps});
  expect_self_attention_refused("expected key_weight of shape [4], got [5].", qkv, heads,
                                angles_of_steps(3, 4), {at::ones({4}), at::ones({5}), kEps});
}

}  // namespace
}  // namespace loopbank::ops
