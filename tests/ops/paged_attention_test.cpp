#include "loopbank/ops/paged_attention.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>

#include "gradient_check.h"
#include "loopbank/ops/attention.h"
#include "loopbank/ops/kernels.h"
#include "paged_tokens.h"

namespace loopbank::ops {
namespace {

using testing::expect_close;
using testing::expect_error;
using testing::kFusedDtypes;
using testing::PagedTokens;
using testing::RandomTensors;
using testing::with_gaps;

constexpr AttentionHeads kPagedHeads[] = {{1, 1}, {4, 4}, {4, 2}, {6, 1}, {40, 1}};

/// Attention of one row of queries [H, d] over the first `total` tokens, in fp64.
at::Tensor exact_of_row(const at::Tensor& query, const PagedTokens& tokens, int64_t total) {
  const auto part = [&](const at::Tensor& x) {
    return x.narrow(0, 0, total).to(at::kDouble).transpose(0, 1).unsqueeze(0);
  };
  return causal_attention(query.to(at::kDouble).unsqueeze(0).unsqueeze(2), part(tokens.keys()),
                          part(tokens.values()))
      .view(-1);
}

at::Tensor attend_to(const at::Tensor& q, const PagedRow& row, const AttentionHeads& heads) {
  return paged_attention(q, std::span(&row, 1), heads);
}

void expect_is_attention(const AttentionHeads& heads, int64_t width, int64_t total, bool own,
                         at::ScalarType dtype) {
  RandomTensors random;
  const PagedTokens tokens(random, total, own ? total - 1 : total, heads.key, width, dtype);
  const auto q = random.normal({1, heads.query, width}, dtype);
  const auto row = tokens.row(own ? total - 1 : total, own);
  const auto exact = exact_of_row(q[0], tokens, total).unsqueeze(0);
  const auto fused = attend_to(q, row, heads);
  EXPECT_EQ(fused.scalar_type(), dtype);
  expect_close(fused, exact, kPagedAttentionTolerance.of(dtype));
  const KernelsScope scope(Kernels::kReference);
  expect_close(attend_to(q, row, heads), exact, kPagedAttentionTolerance.of(dtype));
}

TEST(PagedAttention, IsAttentionInEverySize) {
  constexpr int64_t kWidths[] = {16, 64, 2, 10, 128, 24, 34, 80};
  size_t i = 0;
  for (const auto dtype : kFusedDtypes) {
    for (const int64_t total : {1, 2, 15, 16, 17, 31, 33, 63, 64, 65, 66, 128, 130, 200, 333}) {
      for (const auto& heads : kPagedHeads) {
        const auto width = kWidths[i++ % std::size(kWidths)];
        expect_is_attention(heads, width, total, /*own=*/false, dtype);
        expect_is_attention(heads, width, total, /*own=*/true, dtype);
      }
    }
  }
}

TEST(PagedAttention, ItsOwnTokenGivesTheBitsOfOneInABlock) {
  RandomTensors random;
  for (const auto dtype : kFusedDtypes) {
    for (const int64_t width : {16, 64, 34, 128}) {
      const PagedTokens tokens(random, 131, 131, 2, width, dtype);
      const auto q = random.normal({1, 6, width}, dtype);
      for (int64_t length = 0; length < 131; ++length) {
        const auto own = attend_to(q, tokens.row(length, true), {6, 2});
        const auto stored = attend_to(q, tokens.row(length + 1, false), {6, 2});
        EXPECT_TRUE(own.equal(stored)) << length << " tokens of width " << width;
      }
    }
  }
}

TEST(PagedAttention, SlotsOfTheSamePagesAreFoundByTheirOffset) {
  RandomTensors random;
  for (const auto dtype : kFusedDtypes) {
    const PageLayout layout{.key_heads = 2, .width = 16, .is_bf16 = dtype == at::kBFloat16};
    const PagedTokens first(random, 40, 40, 2, 16, dtype), second(random, 40, 40, 2, 16, dtype);
    const auto pages = at::empty({3, 2, layout.bytes()}, at::kByte);
    std::vector<const void*> list;
    for (int64_t page = 0; page < 3; ++page) {
      auto* const to = list.emplace_back(pages[page].data_ptr());
      std::memcpy(const_cast<void*>(to), first.row(40, false).blocks[page], layout.bytes());
      std::memcpy(pages[page][1].data_ptr(), second.row(40, false).blocks[page], layout.bytes());
    }
    const std::vector<PagedRow> rows = {
        {.blocks = list.data(), .length = 40},
        {.blocks = list.data(), .offset = layout.bytes(), .length = 40}};
    const auto q = random.normal({2, 4, 16}, dtype);
    for (const auto kernels : {Kernels::kFused, Kernels::kReference}) {
      const KernelsScope scope(kernels);
      const auto both = paged_attention(q, rows, {4, 2});
      EXPECT_TRUE(both[0].equal(attend_to(q.narrow(0, 0, 1), first.row(40, false), {4, 2})[0]));
      EXPECT_TRUE(both[1].equal(attend_to(q.narrow(0, 1, 1), second.row(40, false), {4, 2})[0]));
    }
  }
}

/// Rows of several sequences: prompts, whose rows follow each other, and single rows between them.
struct MixedRows {
  std::vector<std::unique_ptr<PagedTokens>> sequences;
  std::vector<PagedRow> rows;
  at::Tensor q;  // [R, H, d]
};

MixedRows mixed_rows(const AttentionHeads& heads, int64_t width, at::ScalarType dtype,
                     size_t num_rows) {
  RandomTensors random;
  MixedRows mixed;
  for (int64_t sequence = 0; mixed.rows.size() < num_rows; ++sequence) {
    const int64_t prompt = sequence % 3 == 0 ? 1 : 5 * sequence + 7;
    const int64_t length = 3 + sequence * 41 % 190;
    const auto& tokens = *mixed.sequences.emplace_back(std::make_unique<PagedTokens>(
        random, length + prompt, length + prompt, heads.key, width, dtype));
    for (int64_t i = 0; i < prompt && mixed.rows.size() < num_rows; ++i) {
      const bool own = (i + sequence) % 4 == 0;
      mixed.rows.push_back(tokens.row(own ? length + i - 1 : length + i, own));
    }
  }
  mixed.q = random.normal({static_cast<int64_t>(num_rows), heads.query, width}, dtype);
  return mixed;
}

TEST(PagedAttention, NeighboursAndThreadsChangeNoBitOfARow) {
  const int threads_before = at::get_num_threads();
  for (const auto dtype : kFusedDtypes) {
    for (const auto& heads : kPagedHeads) {
      const auto mixed = mixed_rows(heads, heads.key == 4 ? 64 : 34, dtype, 500);
      at::set_num_threads(1);
      std::vector<at::Tensor> alone;
      for (size_t r = 0; r < mixed.rows.size(); ++r) {
        alone.push_back(
            attend_to(mixed.q.narrow(0, static_cast<int64_t>(r), 1), mixed.rows[r], heads));
      }
      const auto expected = at::cat(alone);  // [R, H d]
      for (const int threads : {1, 2, 3, 7}) {
        at::set_num_threads(threads);
        for (const int64_t first : {0, 1, 5, 250}) {
          const auto count = mixed.q.size(0) - first;
          const auto together =
              paged_attention(mixed.q.narrow(0, first, count),
                              std::span(mixed.rows).subspan(static_cast<size_t>(first)), heads);
          EXPECT_TRUE(together.equal(expected.narrow(0, first, count)))
              << heads.query << " heads, " << threads << " threads, from row " << first;
        }
      }
    }
  }
  at::set_num_threads(threads_before);
}

TEST(PagedAttention, PlacesBehindARowsTokensAreNeverSeen) {
  RandomTensors random;
  for (const auto dtype : kFusedDtypes) {
    for (const int64_t width : {16, 34, 64}) {
      // Rows of one prompt, each of which must not see those after it.
      const PagedTokens tokens(random, 90, 90, 2, width, dtype);
      const auto q = random.normal({40, 4, width}, dtype);
      std::vector<PagedRow> rows;
      for (int64_t r = 0; r < 40; ++r) {
        rows.push_back(tokens.row(1 + 2 * r, r % 3 == 0));
      }
      const auto before = paged_attention(q, rows, {4, 2});
      EXPECT_TRUE(before.isfinite().all().item<bool>());
      // Now the tokens from 38 on are NaN: rows up to there keep every bit, the others lose all. The
      // first of those shares its pass over the values with the last that does not see them.
      const auto nan = at::full({2, width}, std::nan(""), q.options());
      for (int64_t token = 38; token < 90; ++token) {
        store_token(tokens.layout(), tokens.blocks()[static_cast<size_t>(token / 16)].data_ptr(),
                    token % 16, nan.data_ptr(), nan.data_ptr());
      }
      const auto after = paged_attention(q, rows, {4, 2});
      EXPECT_TRUE(after.narrow(0, 0, 19).equal(before.narrow(0, 0, 19)));
      EXPECT_TRUE(after.narrow(0, 19, 21).isnan().all().item<bool>());
    }
  }
}

TEST(PagedAttention, BlocksBehindARowsTokensAreNotEvenRead) {
  RandomTensors random;
  const PagedTokens tokens(random, 65, 65, 1, 16, at::kFloat);
  const auto q = random.normal({1, 1, 16}, at::kFloat);
  const auto expected = attend_to(q, tokens.row(48, true), {1, 1});
  auto row = tokens.row(48, true);
  std::vector<const void*> cut(row.blocks, row.blocks + 3);
  cut.resize(5, nullptr);
  row.blocks = cut.data();
  EXPECT_TRUE(attend_to(q, row, {1, 1}).equal(expected));
}

TEST(PagedAttention, ANanStaysInItsRowAndHead) {
  for (const auto dtype : kFusedDtypes) {
    auto mixed = mixed_rows({4, 2}, 16, dtype, 60);
    const auto before = paged_attention(mixed.q, mixed.rows, {4, 2});
    mixed.q[33][2][5] = std::nan("");
    const auto after = paged_attention(mixed.q, mixed.rows, {4, 2});
    const auto is_nan = after.isnan().view({60, 4, 16});
    EXPECT_EQ(is_nan.sum().item<int64_t>(), 16);
    EXPECT_TRUE(is_nan[33][2].all().item<bool>());
    EXPECT_TRUE(after.where(~after.isnan(), before).equal(before));
  }
}

TEST(PagedAttention, HugeScoresPickOneTokenAndNoNan) {
  for (const auto dtype : kFusedDtypes) {
    RandomTensors random;
    const PagedTokens tokens(random, 200, 200, 2, 16, dtype);
    const auto q = random.normal({1, 4, 16}, dtype) * 1e9;  // fp32 counts scores in whole hundreds
    const auto out = attend_to(q, tokens.row(200, false), {4, 2}).view({4, 16});
    EXPECT_TRUE(out.isfinite().all().item<bool>());
    const auto scores =
        q.view({2, 2, 16})
            .to(at::kDouble)
            .matmul(tokens.keys().to(at::kDouble).permute({1, 2, 0}));  // [H_kv, 2, S]
    const auto best = scores.argmax(-1).view(-1);
    for (int64_t head = 0; head < 4; ++head) {
      EXPECT_TRUE(out[head].equal(tokens.values()[best[head].item<int64_t>()][head / 2]));
    }
  }
}

TEST(PagedAttention, TakesQueriesWithGapsAndNoRows) {
  RandomTensors random;
  const PagedTokens tokens(random, 20, 20, 2, 16, at::kFloat);
  const auto q = random.normal({1, 4, 16}, at::kFloat);
  const auto row = tokens.row(20, false);
  EXPECT_TRUE(attend_to(with_gaps(q), row, {4, 2}).equal(attend_to(q, row, {4, 2})));
  EXPECT_EQ(paged_attention(q.narrow(0, 0, 0), {}, {4, 2}).sizes(), at::IntArrayRef({0, 64}));
}

TEST(PagedAttention, RefusesWhatDoesNotFit) {
  RandomTensors random;
  const PagedTokens tokens(random, 20, 20, 2, 16, at::kFloat);
  const auto q = random.normal({1, 4, 16}, at::kFloat);
  auto row = tokens.row(10, true);
  expect_error(ErrorCode::kShape,
               "paged_attention: expected H a multiple of H_kv, both at least 1, got 4 and 3.",
               [&] {
                 attend_to(q, row, {4, 3});
               });
  expect_error(ErrorCode::kShape,
               "paged_attention: expected q of shape [1, 4, 16], got [2, 4, 16].", [&] {
                 attend_to(at::zeros({2, 4, 16}), row, {4, 2});
               });
  expect_error(ErrorCode::kShape, "paged_attention: expected heads of even width (pairs), got 15.",
               [&] {
                 attend_to(at::zeros({1, 4, 15}), row, {4, 2});
               });
  expect_error(ErrorCode::kDtype, "paged_attention: expected q in fp32 or bf16, got Double.", [&] {
    attend_to(q.to(at::kDouble), row, {4, 2});
  });
  row.own_value = nullptr;
  expect_error(ErrorCode::kShape,
               "paged_attention: expected row 0 to have both a key and a value of its own, or "
               "neither, got only a key.",
               [&] {
                 attend_to(q, row, {4, 2});
               });
  expect_error(ErrorCode::kShape, "paged_attention: expected at least one token in row 0, got 0.",
               [&] {
                 attend_to(q, {}, {4, 2});
               });
  expect_error(ErrorCode::kShape,
               "paged_attention: expected blocks of 3 tokens in row 0, got none.", [&] {
                 attend_to(q, {.length = 3}, {4, 2});
               });
}

TEST(Pages, ATokenComesBackAndTheOtherPlacesStay) {
  RandomTensors random;
  for (const auto dtype : kFusedDtypes) {
    const PagedTokens tokens(random, 21, 21, 3, 10, dtype);
    EXPECT_EQ(tokens.layout().bytes(), tokens.blocks()[0].nbytes());
    const auto key = at::empty({3, 10}, tokens.keys().options());
    const auto value = at::empty({3, 10}, tokens.keys().options());
    for (int64_t token = 0; token < 21; ++token) {
      load_token(tokens.layout(), tokens.blocks()[static_cast<size_t>(token / 16)].data_ptr(),
                 token % 16, key.data_ptr(), value.data_ptr());
      EXPECT_TRUE(key.equal(tokens.keys()[token]));
      EXPECT_TRUE(value.equal(tokens.values()[token]));
    }
    // 11 places of the second block were never written.
    EXPECT_EQ(tokens.blocks()[1].isnan().sum().item<int64_t>(), 11 * 2 * 3 * 10);
  }
}

}  // namespace
}  // namespace loopbank::ops
