#include "loopbank/dissect/memory_ablation.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "memory_model.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::kUnread;

ScoredText abcd_text(int64_t row_tokens = 8) {
  return scored_text_of(testing::ids_of("abcdabcdabcdabcda"), Tokenizer::bytes(), row_tokens);
}

std::vector<double> nats_of_rows(const LanguageModel& model, const ScoredText& text) {
  std::vector<double> nats;
  for (const auto& row : text.rows) {
    nats.push_back(nats_of(model, row, {}));
  }
  return nats;
}

BankSlots slots(std::vector<int64_t> some) {
  return {.bank = {0}, .slots = std::move(some)};
}

/// Parameters of a model, to see that they are as before.
std::vector<at::Tensor> copies(const LanguageModel& model) {
  std::vector<at::Tensor> all;
  for (const auto& parameter : model.parameters().all()) {
    all.push_back(parameter.value.detach().clone());
  }
  return all;
}

void expect_unchanged(const LanguageModel& model, const std::vector<at::Tensor>& before) {
  for (size_t i = 0; i < before.size(); ++i) {
    const auto& parameter = model.parameters().all()[i];
    EXPECT_TRUE(at::equal(parameter.value, before[i])) << parameter.name;
  }
}

TEST(Ablate, AnOpenBankThatNamesTheNextLetterIsWorthWhatItPredicts) {
  auto model = testing::letter_model(/*gate_bias=*/50.0);
  const auto before = copies(model);
  const auto text = abcd_text();
  const auto nats = nats_of_rows(model, text);
  EXPECT_LT(bits_per_byte(nats, text), 0.1);  // it knows the text
  const auto costs = ablate(model, text, nats,
                            {zeroed(slots({})), zeroed(slots({2})), zeroed(slots({kUnread})),
                             swapped("", slots({0, 1}))});
  ASSERT_EQ(costs.size(), 4U);
  EXPECT_EQ(costs[0].what, "layer0");
  EXPECT_GT(costs[0].cost, 8.0);  // without it the model says that a letter follows itself
  EXPECT_GT(costs[1].cost, 1.0);
  EXPECT_LT(costs[1].cost, costs[0].cost);
  EXPECT_NEAR(costs[2].cost, 0.0, 1e-6);
  EXPECT_GT(costs[3].cost, costs[1].cost);  // two letters wrong
  EXPECT_EQ(costs[3].kind, Ablation::Kind::kSwap);
  for (const auto& cost : costs) {
    EXPECT_NEAR(cost.bpb - cost.cost, bits_per_byte(nats, text), 1e-9) << cost.what;
  }
  expect_unchanged(model, before);
}

TEST(Ablate, ABankBehindAClosedGateCostsNothing) {
  auto model = testing::random_model();
  {
    const at::NoGradGuard no_grad;
    for (const char* layer : {"layers.0", "layers.1"}) {
      for (const char* bank : {".memory.local_gate", ".memory.global_gate"}) {
        model.parameters().get(std::string(layer) + bank + ".weight").value.zero_();
        model.parameters().get(std::string(layer) + bank + ".bias").value.fill_(-50.0);
      }
    }
  }
  const auto text = abcd_text(16);
  const auto costs = ablate(model, text, nats_of_rows(model, text), {all_zeroed(model.config())});
  EXPECT_EQ(costs[0].what, "all");
  EXPECT_NEAR(costs[0].cost, 0.0, 1e-7);
}

TEST(Ablate, AllBanksAreMoreThanEach) {
  auto model = testing::random_model();
  const auto text = abcd_text(16);
  const auto all = all_zeroed(model.config());
  EXPECT_EQ(all.slots.size(), 3U);
  const auto nats = nats_of_rows(model, text);
  const auto costs =
      ablate(model, text, nats, {all, zeroed({.bank = {BankId::kGlobal}, .slots = {}})});
  // As with a model that never had values.
  const at::NoGradGuard no_grad;
  for (const char* name : {"memory.values", "layers.0.memory.values", "layers.1.memory.values"}) {
    model.parameters().get(name).value.zero_();
  }
  EXPECT_NEAR(costs[0].bpb, bits_per_byte(nats_of_rows(model, text), text), 1e-9);
  EXPECT_NE(costs[0].bpb, costs[1].bpb);
}

TEST(Ablate, TheMeanKeepsWhatABiasCouldDo) {
  const auto text = abcd_text();
  const auto weight = at::tensor({0.25, 0.25, 0.25, 0.25, 0.0}, at::kDouble);
  // Each slot names another letter: without the choice nothing is known.
  auto choosing = testing::letter_model(50.0);
  const auto before = copies(choosing);
  const auto nats = nats_of_rows(choosing, text);
  EXPECT_GT(ablate(choosing, text, nats, {averaged({0}, weight)}).front().cost, 2.0);
  expect_unchanged(choosing, before);
  // All slots say the same: the bank is a bias, and nothing is lost.
  auto constant = testing::letter_model(50.0);
  {
    const at::NoGradGuard no_grad;
    const auto values = constant.parameters().get("layers.0.memory.values").value;
    values.copy_(values[0].clone().expand_as(values));
  }
  const auto cost =
      ablate(constant, text, nats_of_rows(constant, text), {averaged({0}, weight)}).front();
  EXPECT_NEAR(cost.cost, 0.0, 1e-5);
  EXPECT_EQ(cost.what, "layer0");
  EXPECT_EQ(change_name(cost.kind), "mean");
}

TEST(Ablate, TwoSwapsOfTheSameSlotsAreNone) {
  auto model = testing::letter_model(50.0);
  const auto before = copies(model);
  const auto text = abcd_text();
  auto twice = swapped("", slots({0, 1}));
  twice.slots.push_back(twice.slots.front());
  const auto costs = ablate(model, text, nats_of_rows(model, text), {twice});
  EXPECT_EQ(costs[0].cost, 0.0);
  expect_unchanged(model, before);
}

TEST(Ablate, TheStandardErrorIsOfTheRows) {
  auto model = testing::random_model();
  const auto text = scored_text_of(testing::ids_of("three rows of text"), Tokenizer::bytes(), 6);
  ASSERT_EQ(text.rows.size(), 3U);
  const auto nats = nats_of_rows(model, text);
  const auto cost = ablate(model, text, nats, {all_zeroed(model.config())}).front();
  const at::NoGradGuard no_grad;
  for (const char* name : {"memory.values", "layers.0.memory.values", "layers.1.memory.values"}) {
    model.parameters().get(name).value.zero_();
  }
  const auto differences =
      at::tensor(nats_of_rows(model, text), at::kDouble) - at::tensor(nats, at::kDouble);
  const double expected = differences.std(/*unbiased=*/true).item<double>() * std::sqrt(3.0) /
                          (std::log(2.0) * static_cast<double>(text.num_bytes));
  ASSERT_TRUE(cost.standard_error.has_value());
  EXPECT_NEAR(*cost.standard_error, expected, 1e-9);

  auto again = testing::random_model();
  const auto one_row = abcd_text(16);
  EXPECT_FALSE(ablate(again, one_row, nats_of_rows(again, one_row), {all_zeroed(again.config())})
                   .front()
                   .standard_error.has_value());
}

TEST(Ablate, ValuesAreBackWhenAPassFails) {
  auto model = testing::letter_model(50.0);
  const auto before = copies(model);
  const auto text = scored_text_of(testing::ids_of(std::string(20, 'a')), Tokenizer::bytes(), 17);
  (void)error_of(ErrorCode::kShape, [&] {
    (void)ablate(model, text, {0.0, 0.0}, {zeroed(slots({}))});  // the model reads 16 tokens
  });
  expect_unchanged(model, before);
}

TEST(Ablate, ASwapWantsTwoSlots) {
  for (const auto& some : {slots({}), slots({1}), slots({0, 1, 2})}) {
    expect_contains(error_of(ErrorCode::kConfig, [&] { (void)swapped("--swap", some); }),
                    "--swap: expected two slots of a bank, as in layer0:0,1, got \"layer0");
  }
}

}  // namespace
}  // namespace loopbank
