#include "loopbank/train/part_measures.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "loopbank/train/train_step.h"
#include "loopbank/train/validation.h"
#include "small_run.h"

namespace loopbank {
namespace {

using testing::small_run;
using testing::TestDirectory;

LanguageModel model_of(ModelConfig config) {
  config.loop_scale_init = 0.5413;
  LanguageModel model(config);
  model.parameters().initialize(/*seed=*/3);
  return model;
}

ModelConfig looped(int64_t loops = 3) {
  const TestDirectory directory;
  auto config = small_run(directory).model;
  config.max_loops = loops;
  return config;
}

struct Rows {
  at::Tensor tokens;
  at::Tensor targets;
};

Rows some_rows(int64_t rows) {
  return {.tokens = at::randint(0, 257, {rows, 16}, at::kLong),
          .targets = at::randint(0, 257, {rows, 16}, at::kLong)};
}

/// The focus of layer 0 of 1 for queries and keys.
double focus_of(const at::Tensor& query, const at::Tensor& keys) {
  const auto gate = at::zeros({1, query.size(1), query.size(2)});
  ReadFocus focus(/*num_layers=*/1);
  focus.take({.query = query, .keys = keys, .gate = gate});
  EXPECT_FALSE(focus.global()[0].defined());
  return focus.local()[0].item<double>();
}

TEST(ReadFocus, IsNoneForEqualKeysAndAllOfLnMForOneThatStandsOut) {
  const auto query = at::full({2, 5, 16}, 1.0);
  EXPECT_NEAR(focus_of(query, at::full({8, 16}, 0.7)), 0.0, 1e-6);
  auto keys = at::zeros({8, 16});
  keys[3].fill_(50.0);
  EXPECT_NEAR(focus_of(query, keys), std::log(8.0), 1e-5);
  // Two slots of e^1 against two of e^0: the scores are 4 d / sqrt(16) = d.
  keys = at::zeros({4, 16});
  keys.narrow(0, 0, 2).fill_(0.25);
  const double high = std::exp(1.0) / (2 * std::exp(1.0) + 2);
  const double low = 1.0 / (2 * std::exp(1.0) + 2);
  EXPECT_NEAR(focus_of(query, keys),
              std::log(4.0) + 2 * high * std::log(high) + 2 * low * std::log(low), 1e-6);
}

TEST(LoopChanges, AreTheLargestBehindTheFirstLoopOfLayersThatLoop) {
  auto config = looped();
  config.num_hidden_layers = 3;
  config.max_loops = {3, 1, 0};
  auto change = at::full({3, 2, 4}, 9.0);
  change[1].fill_(0.25);
  change[2].fill_(0.125);
  const auto found = loop_changes(config, {change, at::full({1, 2, 4}, 9.0), at::Tensor()});
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].item<double>(), 0.25);
  EXPECT_FALSE(found[1].defined());
  EXPECT_FALSE(found[2].defined());
}

TEST(RouterGradients, AreThoseOfABackwardPassAndLeaveNoneBehind) {
  auto config = looped();
  config.num_hidden_layers = 3;
  config.max_loops = {3, 1, 2};
  config.ponder_weight = 0.5;
  const auto model = model_of(config);
  const auto [tokens, targets] = some_rows(kRouterRows + 2);
  const auto found = router_gradients(model, tokens, targets, {});
  for (const auto& parameter : model.parameters().all()) {
    EXPECT_FALSE(parameter.value.grad().defined()) << parameter.name;
  }
  model.loss(tokens.narrow(0, 0, kRouterRows), targets.narrow(0, 0, kRouterRows)).total.backward();
  for (const int64_t l : {0, 2}) {
    const auto gradient_of = [&](const char* part) {
      const auto name = fmt::format("layers.{}.router.{}", l, part);
      return model.parameters().get(name).value.grad().flatten();
    };
    const auto both = at::cat({gradient_of("weight"), gradient_of("bias")});
    const auto expected = both.to(at::kDouble).square().mean().sqrt().item<double>();
    EXPECT_GT(expected, 1e-6);
    EXPECT_NEAR(found[static_cast<size_t>(l)].item<double>(), expected, 1e-4 * expected);
  }
  EXPECT_FALSE(found[1].defined()) << "nothing to choose";
}

TEST(Validator, ALossWithoutMemoryIsThatOfBanksThatHoldNothing) {
  const TestDirectory directory;
  const auto run = small_run(directory);
  const auto file = std::make_shared<const TokenFile>(run.data.validation);
  const Validator validator(file, Tokenizer::bytes(), run.training);
  const auto model = model_of(run.model);
  const auto found = validator.validate(model, 1, {});
  ASSERT_TRUE(found.loss_without_memory.has_value());
  EXPECT_GT(std::abs(*found.loss_without_memory - found.loss), 1e-4);
  ASSERT_EQ(found.parts.local_focus.size(), 2U);
  EXPECT_GT(found.parts.local_focus[1], 0.05);
  EXPECT_LT(found.parts.local_focus[1], std::log(4.0));
  EXPECT_GT(found.parts.global_focus[0], 0.0);
  EXPECT_GT(found.parts.loop_changes[0], 0.01);
  EXPECT_GT(found.parts.router_gradients[0], 1e-7);
  const at::NoGradGuard no_grad;
  for (const auto& parameter : model.parameters().all()) {
    if (parameter.name.ends_with("memory.values")) {
      parameter.value.detach().zero_();
    }
  }
  const auto emptied = validator.validate(model, 1, {});
  EXPECT_NEAR(emptied.loss, *found.loss_without_memory, 1e-6);
  EXPECT_NEAR(*emptied.loss_without_memory, *found.loss_without_memory, 1e-6);
}

TEST(Validator, MeasuresNoPartsWhereNoAlarmGoesByThem) {
  const TestDirectory directory;
  auto run = small_run(directory);
  run.training.alarm_validations = 0;
  const auto file = std::make_shared<const TokenFile>(run.data.validation);
  const auto found =
      Validator(file, Tokenizer::bytes(), run.training).validate(model_of(run.model), 1, {});
  EXPECT_FALSE(found.loss_without_memory.has_value());
  EXPECT_TRUE(found.parts.loop_changes.empty());
  EXPECT_TRUE(found.parts.local_focus.empty());
  EXPECT_TRUE(found.parts.global_focus.empty());
  EXPECT_TRUE(found.parts.router_gradients.empty());
  EXPECT_EQ(found.local_gates.size(), 2U);
  EXPECT_EQ(found.loss_by_loops.size(), 2U);
}

TEST(Validator, MeasuresRoutersOnTheSameRowsHoweverManyMakeAPass) {
  const TestDirectory directory;
  auto run = small_run(directory);
  const auto file = std::make_shared<const TokenFile>(run.data.validation);
  const auto model = model_of(run.model);
  std::vector<std::vector<double>> found;
  for (const int64_t rows : {1, 4}) {
    run.training.batch = run.training.micro_batch = rows;
    const Validator validator(file, Tokenizer::bytes(), run.training);
    ASSERT_GT(validator.num_rows(), 1);
    found.push_back(validator.validate(model, 1, {}).parts.router_gradients);
  }
  ASSERT_FALSE(found[0].empty());
  EXPECT_GT(found[0][0], 1e-7);
  EXPECT_EQ(found[0], found[1]);
}

TEST(Validator, ADenseModelHasNoPartsToMeasure) {
  const TestDirectory directory;
  auto run = small_run(directory);
  run.model.max_loops = {};
  run.model.local_memory_slots = run.model.global_memory_slots = 0;
  const auto file = std::make_shared<const TokenFile>(run.data.validation);
  const auto model = model_of(run.model);
  const auto found = Validator(file, Tokenizer::bytes(), run.training).validate(model, 1, {});
  EXPECT_FALSE(found.loss_without_memory.has_value());
  EXPECT_TRUE(found.parts.loop_changes.empty());
  EXPECT_TRUE(found.parts.local_focus.empty());
  EXPECT_TRUE(found.parts.router_gradients.empty());
}

}  // namespace
}  // namespace loopbank
