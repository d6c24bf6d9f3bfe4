#include "loopbank/dissect/memory_reads.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "memory_model.h"

namespace loopbank {
namespace {

using testing::ids_of;
using testing::kSlots;
using testing::kUnread;

ScoredText text_of(const std::string& letters, int64_t row_tokens = 8) {
  return scored_text_of(ids_of(letters), Tokenizer::bytes(), row_tokens);
}

double largest_difference_in_fp64(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

TEST(ObserveReads, EachLetterReadsItsSlot) {
  const auto model = testing::letter_model(/*gate_bias=*/-50.0, /*loops=*/2);
  const auto observed = observe_reads(model, text_of("abcdaabbbbd."), {.num_highest = 3});
  ASSERT_EQ(observed.reads.size(), 2U);  // two loops
  const auto expected = at::tensor({3.0, 5.0, 1.0, 2.0, 0.0}, at::kDouble) / 11.0;
  for (const auto& read : observed.reads) {
    EXPECT_TRUE(at::equal(read.top_slot, at::tensor({0, 1, 2, 3, 0, 0, 1, 1, 1, 1, 3}, at::kInt)));
    EXPECT_LT(largest_difference_in_fp64(read.weight, expected), 1e-6);
    EXPECT_LT(largest_difference_in_fp64(read.top_share, expected), 1e-9);
    EXPECT_NEAR(read.entropy, 0.0, 1e-5);
    EXPECT_NEAR(read.largest_weight, 1.0, 1e-6);
    EXPECT_NEAR(read.gate, 0.0, 1e-9);
    EXPECT_EQ(read.highest_tokens[2][0].item<int64_t>(), 2);  // the only c
  }
  EXPECT_EQ(observed.reads[0].loop, 1);
  EXPECT_EQ(observed.reads[1].loop, 2);
  const auto use = bank_use(observed, {0});
  EXPECT_EQ(use.most_read.front(), 1);
  EXPECT_EQ(use.dead, (std::vector<int64_t>{kUnread}));
}

TEST(ObserveReads, UniformReadsHaveTheEntropyOfAllSlots) {
  const auto model = testing::letter_model(0.0);
  {
    const at::NoGradGuard no_grad;
    model.parameters().get("layers.0.memory.keys").value.zero_();
  }
  const auto observed = observe_reads(model, text_of("abcdabcd"), {});
  ASSERT_EQ(observed.reads.size(), 1U);
  const auto& read = observed.reads.front();
  EXPECT_NEAR(read.entropy, std::log(kSlots), 1e-6);
  EXPECT_NEAR(effective_slots(read.weight), kSlots, 1e-5);
  EXPECT_NEAR(read.gate, 0.5, 1e-6);
  EXPECT_LT(largest_difference_in_fp64(read.gated_weight, at::full({kSlots}, 0.5 / kSlots)), 1e-6);
  // Read by nobody most of all, but read: not dead.
  EXPECT_TRUE(bank_use(observed, {0}).dead.empty());
}

/// The reads of a text as the model shows them, all tokens at once.
struct Shown {
  std::vector<at::Tensor> weights;  // [T, M] fp64 of each row
  std::vector<at::Tensor> gates;    // [T]
};
using ByPlace = std::map<std::tuple<bool, int64_t, int64_t>, Shown>;  // global, layer, loop

ByPlace naive_reads(const LanguageModel& model, const ScoredText& text) {
  const at::NoGradGuard no_grad;
  ByPlace all;
  Recorder recorder;
  recorder.on_read = [&](const MemoryRead& read) {
    auto& shown = all[{read.global, read.layer, read.loop}];
    const auto scores = at::matmul(read.query[0].to(at::kDouble), read.keys.to(at::kDouble).t()) /
                        std::sqrt(static_cast<double>(read.keys.size(1)));
    shown.weights.push_back(scores.exp() / scores.exp().sum(-1, true));
    shown.gates.push_back(read.gate[0].mean(-1).to(at::kDouble));
  };
  for (const auto& row : text.rows) {
    (void)model.forward(row.tokens, {.recorder = &recorder});
  }
  return all;
}

TEST(ObserveReads, StatisticsAreThoseOfAllWeightsAtOnce) {
  const auto model = testing::random_model();
  const auto text = text_of("Some text in several rows, the last one short.", 20);
  const int64_t highest = 4;
  // Blocks of 3 tokens for 8 slots, so that rows are taken apart.
  const auto observed = observe_reads(model, text, {.num_highest = highest, .block_weights = 24});
  const auto naive = naive_reads(model, text);
  ASSERT_EQ(observed.reads.size(), 12U);  // 2 layers, 3 loops, 2 banks
  ASSERT_EQ(naive.size(), 12U);
  for (const auto& read : observed.reads) {
    const auto& shown = naive.at({read.bank.is_global(), read.layer, read.loop});
    const auto weights = at::cat(shown.weights);  // [tokens, M]
    const auto gates = at::cat(shown.gates);      // [tokens]
    const auto tokens = weights.size(0);
    ASSERT_EQ(tokens, text.num_tokens());
    EXPECT_NEAR(read.weight.sum().item<double>(), 1.0, 1e-6);
    EXPECT_NEAR(read.top_share.sum().item<double>(), 1.0, 1e-9);
    EXPECT_LT(largest_difference_in_fp64(read.weight, weights.mean(0)), 1e-5);
    EXPECT_LT(largest_difference_in_fp64(read.gated_weight, (weights * gates.unsqueeze(1)).mean(0)),
              1e-5);
    EXPECT_TRUE(at::equal(read.top_slot.to(at::kLong), weights.argmax(-1)));
    const auto times = at::bincount(weights.argmax(-1), {}, weights.size(1)).to(at::kDouble);
    EXPECT_LT(largest_difference_in_fp64(read.top_share, times / static_cast<double>(tokens)),
              1e-9);
    EXPECT_NEAR(read.entropy, -(weights * weights.log()).sum(-1).mean().item<double>(), 1e-4);
    EXPECT_NEAR(read.largest_weight, weights.amax(-1).mean().item<double>(), 1e-5);
    EXPECT_NEAR(read.gate, gates.mean().item<double>(), 1e-6);
    const auto best = std::get<0>(weights.t().topk(highest, -1));  // [M, K]
    EXPECT_LT(largest_difference_in_fp64(read.highest, best), 1e-5);
    EXPECT_LT(largest_difference_in_fp64(weights.t().gather(-1, read.highest_tokens), best), 1e-5);
  }
  for (size_t i = 0; i < text.rows.size(); ++i) {
    EXPECT_NEAR(observed.row_nats[i], nats_of(model, text.rows[i], {}), 1e-4);
  }
}

TEST(ObserveReads, ABudgetEndsTheLoops) {
  const auto observed =
      observe_reads(testing::random_model(), text_of("some text"), {.max_loops = 1});
  ASSERT_EQ(observed.reads.size(), 4U);
  for (const auto& read : observed.reads) {
    EXPECT_EQ(read.loop, 1);
  }
}

TEST(BankUse, IsTheMeanOverLayersAndLoopsByTheirReach) {
  const auto model = testing::random_model();
  const auto text = text_of("some text to read", 5);
  const auto observed = observe_reads(model, text, {});
  const auto use = bank_use(observed, {BankId::kGlobal});
  auto sum = at::zeros({4}, at::kDouble);
  double reaches = 0.0;
  for (const auto& read : observed.reads) {
    if (read.bank.is_global()) {
      EXPECT_NEAR(read.reach, read.loop == 1 ? 1.0 : read.reach, 1e-6);
      sum += read.weight * read.reach;
      reaches += read.reach;
    }
  }
  EXPECT_LT(reaches, 5.5);  // of 6, were all loops taken
  EXPECT_LT(largest_difference_in_fp64(use.weight, sum / reaches), 1e-12);
  EXPECT_NEAR(use.top_share.sum().item<double>(), 1.0, 1e-9);
  EXPECT_GE(use.weight[use.most_read[0]].item<double>(),
            use.weight[use.most_read[1]].item<double>());
}

TEST(BankReads, ReachIsTheChanceToBeStillThere) {
  const at::NoGradGuard no_grad;
  const auto model = testing::random_model();
  const auto text = text_of("some text to read", 5);
  auto last = at::zeros({2}, at::kDouble);  // P_3 of both layers
  for (const auto& row : text.rows) {
    Recorder recorder;
    (void)model.forward(row.tokens, {.recorder = &recorder});
    for (int64_t l = 0; l < 2; ++l) {
      last[l] += recorder.halting[static_cast<size_t>(l)][2].sum();
    }
  }
  for (const auto& read : observe_reads(model, text, {}).reads) {
    if (read.loop == 3) {
      EXPECT_NEAR(read.reach, last[read.layer].item<double>() / 16.0, 1e-5);
    }
  }
}

TEST(TopContexts, AreThoseOfMostWeightByReachEachTokenOnce) {
  const auto model = testing::random_model();
  const auto text = text_of("abcdefghijklmnopqrstuvwxyz", 12);
  const auto observed = observe_reads(model, text, {.num_highest = 5});
  const auto naive = naive_reads(model, text);
  auto largest = at::zeros({text.num_tokens()}, at::kDouble);  // of slot 3 over layers and loops
  for (const auto& read : observed.reads) {
    if (read.bank.is_global()) {
      const auto& shown = naive.at({true, read.layer, read.loop});
      largest = at::maximum(largest, at::cat(shown.weights).select(1, 3) * read.reach);
    }
  }
  const auto contexts = top_contexts(observed, text, {BankId::kGlobal}, 3, 5);
  const auto best = std::get<0>(largest.topk(5));
  ASSERT_EQ(contexts.size(), 5U);
  std::set<int64_t> seen;  // all letters differ
  for (int64_t i = 0; i < 5; ++i) {
    const auto& context = contexts[static_cast<size_t>(i)];
    EXPECT_TRUE(seen.insert(context.token).second) << context.token << " twice";
    EXPECT_NEAR(context.counted, best[i].item<double>(), 1e-5);
    const auto& shown = naive.at({true, context.layer, context.loop});
    EXPECT_NEAR(at::cat(shown.weights)[context.token][3].item<double>(), context.weight, 1e-5);
  }
}

TEST(TopContexts, OtherWordsComeBeforeTheSameWordAgain) {
  const auto model = testing::letter_model(-50.0);
  const auto text = text_of("bbbbabbbb.");
  const auto observed = observe_reads(model, text, {.num_highest = 9});
  const auto contexts = top_contexts(observed, text, {0}, /*slot=*/1, 3);
  ASSERT_EQ(contexts.size(), 3U);
  EXPECT_NEAR(contexts[0].weight, 1.0, 1e-6);
  EXPECT_EQ(text.ids[static_cast<size_t>(contexts[0].token)], 'b');
  EXPECT_EQ(contexts[1].token, 4);  // the a, although every b reads it more
  EXPECT_EQ(text.ids[static_cast<size_t>(contexts[2].token)], 'b');
}

TEST(TopTokens, CountsWhereASlotIsTheLargest) {
  const auto model = testing::letter_model(-50.0, /*loops=*/2);
  const auto text = text_of("aabaabbcc.");
  const auto observed = observe_reads(model, text, {});
  const auto found = top_tokens(observed, text, {0}, /*slot=*/1, 5);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].id, 'b');
  EXPECT_DOUBLE_EQ(found[0].share, 1.0);
  EXPECT_DOUBLE_EQ(found[0].lift, 3.0);  // 3 of the 9 tokens that are read
  EXPECT_TRUE(top_tokens(observed, text, {0}, kUnread, 5).empty());
}

}  // namespace
}  // namespace loopbank
