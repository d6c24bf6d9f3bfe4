/// The inner life token by token, of dense models, in bf16, and what is refused.

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "loopbank/dissect/inside.h"
#include "tests/dissect/inside_case.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::kLength;
using testing::kRows;
using testing::kText;
using testing::kTolerance;
using testing::measured;
using testing::model_of;
using testing::naive_of;
using testing::some_rows;
using testing::two_rows_a_pass;

TEST(InsideView, TheViewIsTheTextFromItsSecondTokenOn) {
  const auto model = model_of({2}, 4, 0);
  const auto rows = some_rows();
  const auto inside = measured(model, rows);
  const auto naive = naive_of(model, rows);
  const auto& view = inside.token_view;
  ASSERT_EQ(view.size(), static_cast<size_t>(kRows * kLength - 1));
  std::string text;
  for (size_t i = 0; i < view.size(); ++i) {
    text += view[i].text;
    EXPECT_NEAR(view[i].loss, naive.loss[i], kTolerance) << i;  // predicted one position before
    for (size_t l = 0; l < 3; ++l) {
      EXPECT_NEAR(view[i].expected_loops[l], naive.loops[l][i + 1], kTolerance) << i;
      EXPECT_NEAR(view[i].local_gate[l], (naive.local[l][0][i + 1] + naive.local[l][1][i + 1]) / 2,
                  kTolerance)
          << i;
    }
    EXPECT_TRUE(view[i].global_gate.empty());
  }
  auto expected = std::string(kText);
  expected.insert(31, "<|endoftext|>");
  EXPECT_EQ(text, expected.substr(1, text.size()));
  EXPECT_GT(text.size(), view.size());  // the end of text is one token
}

TEST(InsideView, TheViewEndsAtItsLimitOrWhereAnotherTextBegins) {
  const auto model = model_of({2}, 0, 0);
  auto options = two_rows_a_pass();
  options.view_tokens = 15;
  const auto tokenizer = Tokenizer::bytes();
  EXPECT_EQ(measure_inside(model, tokenizer, some_rows(), options).token_view.size(), 15U);
  options.view_tokens = 0;
  EXPECT_TRUE(measure_inside(model, tokenizer, some_rows(), options).token_view.empty());
  auto rows = some_rows();
  rows.tokens = rows.tokens.clone();
  rows.tokens[2][0] = '#';  // not the last target of row 1
  EXPECT_EQ(measured(model, rows).token_view.size(), static_cast<size_t>(2 * kLength - 1));
}

TEST(InsideView, ACharacterOfSeveralTokensIsShownOnceInTheView) {
  const auto ids = at::tensor(std::vector<int64_t>{'a', 'n', 0xC3, 0xAF, 0xC3}, at::kLong);
  const Batch rows{.tokens = ids.narrow(0, 0, 4).view({1, 4}),
                   .targets = ids.narrow(0, 1, 4).view({1, 4})};
  const auto model = model_of({2}, 0, 0);
  const auto view = measured(model, rows).token_view;
  ASSERT_EQ(view.size(), 3U);
  EXPECT_EQ(view[0].text + "|" + view[1].text + "|" + view[2].text, "n||\xC3\xAF");
  const Batch cut{.tokens = rows.tokens.narrow(1, 0, 3), .targets = rows.targets.narrow(1, 0, 3)};
  EXPECT_EQ(measured(model, cut).token_view.back().text, "\xEF\xBF\xBD");
}

TEST(Inside, ADenseModelIsOneLoop) {
  const auto inside = measured(model_of({0}, 0, 0), some_rows());
  EXPECT_EQ(inside.loops, 1);
  EXPECT_EQ(inside.expected_loops, ByLayer(3, 1.0));
  EXPECT_EQ(inside.expected_loops_spread, ByLayer(3, 0.0));
  EXPECT_EQ(inside.halting, ByLayerAndLoop(3, {1.0}));
  EXPECT_FALSE(inside.loop_scale);
  EXPECT_FALSE(inside.local_gate);
  EXPECT_FALSE(inside.global_gate);
  ASSERT_EQ(inside.state_norm[2].size(), 2U);
  ASSERT_EQ(inside.state_change[2].size(), 1U);
  EXPECT_NEAR(inside.state_norm[0][1], inside.state_norm[1][0], 1e-12);  // out of 0 goes into 1
  EXPECT_GT(inside.state_change[0][0], 0.0);
  ASSERT_EQ(inside.bpb_by_loops.size(), 1U);
  EXPECT_EQ(inside.bpb_by_loops[0].max_loops, 1);
  EXPECT_EQ(inside.token_view[0].expected_loops, ByLayer(3, 1.0));
}

TEST(Inside, InBf16TheFiguresAreNearThoseOfFp32) {
  const auto model = model_of({3}, 4, 3);
  auto options = two_rows_a_pass();
  options.compute_dtype = at::kBFloat16;
  const auto low = measure_inside(model, Tokenizer::bytes(), some_rows(), options);
  const auto full = measured(model, some_rows());
  EXPECT_NE(low.bpb_by_loops[2].loss, full.bpb_by_loops[2].loss);
  EXPECT_NEAR(low.bpb_by_loops[2].loss, full.bpb_by_loops[2].loss, 0.05);
  EXPECT_NEAR(low.expected_loops[1], full.expected_loops[1], 0.05);
  EXPECT_NEAR(low.local_gate->mean[1][1], full.local_gate->mean[1][1], 0.05);
}

TEST(Inside, EveryPassIsReported) {
  auto options = two_rows_a_pass();
  std::vector<int64_t> done;
  options.on_progress = [&](int64_t now, int64_t total) {
    done.push_back(now);
    EXPECT_EQ(total, 9);  // three batches at three budgets
  };
  (void)measure_inside(model_of({3}, 0, 0), Tokenizer::bytes(), some_rows(), options);
  EXPECT_EQ(done, (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST(Inside, MistakesAreNamed) {
  const auto model = model_of({2}, 0, 0);
  const auto tokens = at::full({1, 4}, 256, at::kLong);
  expect_contains(error_of(ErrorCode::kShape,
                           [&] {
                             (void)measured(model, {at::zeros({4}, at::kLong), tokens});
                           }),
                  "inside: expected tokens [B, T] with at least one, got [4]");
  expect_contains(error_of(ErrorCode::kShape,
                           [&] {
                             (void)measured(model, {tokens, at::zeros({1, 3}, at::kLong)});
                           }),
                  "inside: expected targets of shape [1, 4], got [1, 3]");
  const auto longer = at::full({1, 17}, 65, at::kLong);
  expect_contains(error_of(ErrorCode::kShape,
                           [&] {
                             (void)measured(model, {longer, longer});
                           }),
                  "at most 16 tokens");
  expect_contains(error_of(ErrorCode::kData,
                           [&] {
                             (void)measured(model, {tokens, tokens});
                           }),
                  "expected targets that stand for text, got 4 that stand for 0 bytes");
  const at::NoGradGuard no_grad;
  model.parameters().get("head.weight").value.fill_(std::nan(""));
  expect_contains(error_of(ErrorCode::kCheckpoint, [&] { (void)measured(model, some_rows()); }),
                  "expected a finite loss, got nan with at most 1 loops");
}

}  // namespace
}  // namespace loopbank
