/// The model's behaviour where the parity tests do not look: budgets, types, caches, errors. That
/// its equations are SPEC's is what tests/train/parity_test.cpp shows.

#include "loopbank/model/language_model.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "loopbank/model/cost.h"
#include "loopbank/support/error.h"
#include "looped_config.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;

ModelConfig memory_config(int64_t num_loops) {
  auto config = looped_config(num_loops);
  config.local_memory_slots = 6;
  config.global_memory_slots = 5;
  return config;
}

LanguageModel made(ModelConfig config, uint64_t seed = 1) {
  LanguageModel model(std::move(config));
  model.parameters().initialize(seed);
  return model;
}

void set(const LanguageModel& model, const std::string& name, double value) {
  const at::NoGradGuard no_grad;
  auto parameter = model.parameters().get(name).value;
  parameter.fill_(value);
}

at::Tensor some_tokens(int64_t batch, int64_t length) {
  return (at::arange(batch * length) * 31 % 97).view({batch, length});
}

TEST(LanguageModel, HoldsAsManyParametersAsItsCostSays) {
  auto dense = looped_config(0);
  auto per_layer = memory_config(3);
  per_layer.max_loops = {2, 0};
  auto tied = looped_config(2);
  tied.tie_word_embeddings = true;
  tied.num_key_value_heads = 2;
  auto local_alone = memory_config(2);
  local_alone.global_memory_slots = 0;
  for (const auto& config :
       {dense, looped_config(5), memory_config(3), per_layer, tied, local_alone}) {
    const LanguageModel model(config);
    EXPECT_EQ(static_cast<double>(model.parameters().count()),
              model_cost(model.config(), 8).parameters.total());
  }
}

TEST(LanguageModel, ParametersHaveTheReferencesNames) {
  auto config = memory_config(2);
  config.num_hidden_layers = 1;
  const LanguageModel model(config);
  std::vector<std::string> names;
  for (const auto& parameter : model.parameters().all()) {
    names.push_back(parameter.name);
  }
  std::sort(names.begin(), names.end());
  const std::vector<std::string> expected = {"embedding.weight",
                                             "final_norm.weight",
                                             "head.weight",
                                             "layers.0.block.attention.key.weight",
                                             "layers.0.block.attention.key_norm.weight",
                                             "layers.0.block.attention.output.weight",
                                             "layers.0.block.attention.query.weight",
                                             "layers.0.block.attention.query_norm.weight",
                                             "layers.0.block.attention.value.weight",
                                             "layers.0.block.attention_norm.weight",
                                             "layers.0.block.feed_forward.down.weight",
                                             "layers.0.block.feed_forward.gate.weight",
                                             "layers.0.block.feed_forward.up.weight",
                                             "layers.0.block.feed_forward_norm.weight",
                                             "layers.0.loop_scale",
                                             "layers.0.memory.global_gate.bias",
                                             "layers.0.memory.global_gate.weight",
                                             "layers.0.memory.global_projection.weight",
                                             "layers.0.memory.keys",
                                             "layers.0.memory.local_gate.bias",
                                             "layers.0.memory.local_gate.weight",
                                             "layers.0.memory.local_projection.weight",
                                             "layers.0.memory.norm.bias",
                                             "layers.0.memory.norm.weight",
                                             "layers.0.memory.values",
                                             "layers.0.router.bias",
                                             "layers.0.router.weight",
                                             "memory.key_norm.bias",
                                             "memory.key_norm.weight",
                                             "memory.keys",
                                             "memory.query_norm.bias",
                                             "memory.query_norm.weight",
                                             "memory.values"};
  EXPECT_EQ(names, expected);
}

TEST(LanguageModel, ARouterThatNeverStopsMakesTheLastLoopTheResult) {
  const auto model = made(looped_config(3));
  for (const auto* layer : {"layers.0", "layers.1"}) {
    set(model, std::string(layer) + ".router.bias", -50.0);
  }
  const auto out = model.forward(some_tokens(2, 9));
  EXPECT_NEAR(out.expected_loops.min().item<double>(), 3.0, 1e-6);
}

TEST(LanguageModel, ABudgetOfOneIsALoopThatStopsAtOnce) {
  const auto model = made(memory_config(4));
  const auto tokens = some_tokens(2, 9);
  const auto budget = model.forward(tokens, {.max_loops = 1});
  EXPECT_TRUE(budget.expected_loops.eq(1).all().item<bool>());
  for (const auto* layer : {"layers.0", "layers.1"}) {
    set(model, std::string(layer) + ".router.bias", 50.0);
  }
  EXPECT_TRUE(model.forward(tokens).logits.allclose(budget.logits, 1e-4, 1e-5));
}

TEST(LanguageModel, ABudgetAboveTheTrainedLoopsChangesNothing) {
  const auto model = made(looped_config(3));
  const auto tokens = some_tokens(1, 8);
  EXPECT_TRUE(model.forward(tokens, {.max_loops = 9}).logits.equal(model.forward(tokens).logits));
}

TEST(LanguageModel, TheFirstLoopsOfABudgetAreThoseOfTheWholeModel) {
  const auto model = made(looped_config(4));
  Recorder all;
  Recorder two;
  const auto tokens = some_tokens(1, 8);
  (void)model.forward(tokens, {.recorder = &all});
  (void)model.forward(tokens, {.max_loops = 2, .recorder = &two});
  EXPECT_EQ(two.halting[0].size(0), 2);
  // The step feature is that of the trained N, so the probability after loop 1 is the same; the second
  // loop takes what is left.
  EXPECT_TRUE(two.halting[0][0].allclose(all.halting[0][0]));
  EXPECT_TRUE((two.halting[0][0] + two.halting[0][1]).allclose(at::ones({1, 8})));
}

TEST(LanguageModel, LoopsOfSmallScaleAddUpInBf16AsTheyDoInFp32) {
  // softplus(-7) = 0.0009: each loop moves the state by less than half the distance of two bf16
  // values, so in a bf16 state 64 loops would leave it where it was.
  auto config = looped_config(64);
  config.num_hidden_layers = 1;
  const auto model = made(config);
  set(model, "layers.0.router.bias", -50.0);
  {
    const at::NoGradGuard no_grad;
    auto down = model.parameters().get("layers.0.block.feed_forward.down.weight").value;
    down.mul_(40.0);
  }
  const auto tokens = some_tokens(1, 8);
  const auto states = [&](at::ScalarType dtype, int64_t loops) {
    const at::NoGradGuard no_grad;
    return model.hidden(tokens, {.compute_dtype = dtype, .max_loops = loops})
        .states.to(at::kDouble);
  };
  const auto distance = [](const at::Tensor& a, const at::Tensor& b) {
    return ((a - b).norm() / b.norm()).item<double>();
  };
  const auto start = states(at::kFloat, 1);
  const auto end = states(at::kFloat, 64);
  const double moved = distance(end, start);
  EXPECT_GT(moved, 0.05);
  EXPECT_LT(moved / 64, 1.0 / 512) << "a step that bf16 could hold";
  EXPECT_LT(distance(states(at::kBFloat16, 64), end), 0.2 * moved);
}

TEST(LanguageModel, NoTokenSeesThoseBehindIt) {
  const auto model = made(memory_config(2));
  auto tokens = some_tokens(1, 10);
  const auto before = model.forward(tokens).logits;
  tokens[0][6] = 3;
  const auto after = model.forward(tokens).logits;
  EXPECT_TRUE(before.narrow(1, 0, 6).equal(after.narrow(1, 0, 6)));
  EXPECT_FALSE(before.narrow(1, 6, 4).allclose(after.narrow(1, 6, 4)));
}

TEST(LanguageModel, OpenGatesReadTheBanksAndClosedOnesDoNot) {
  const auto model = made(memory_config(2));
  const auto tokens = some_tokens(1, 8);
  const auto half = model.forward(tokens).logits;
  for (const auto* gate :
       {"layers.0.memory.local_gate.bias", "layers.1.memory.local_gate.bias",
        "layers.0.memory.global_gate.bias", "layers.1.memory.global_gate.bias"}) {
    set(model, gate, -80.0);
  }
  Recorder recorder;
  const auto closed = model.forward(tokens, {.recorder = &recorder}).logits;
  EXPECT_FALSE(half.allclose(closed));
  EXPECT_LT(recorder.local_gate[1].max().item<double>(), 1e-30);
  const auto shape = std::vector<int64_t>{2, 1, 8};
  EXPECT_EQ(recorder.global_gate[0].sizes().vec(), shape);
  auto config = looped_config(2);
  const LanguageModel plain(config);
  for (const auto& parameter : plain.parameters().all()) {
    const at::NoGradGuard no_grad;
    auto target = parameter.value;
    target.copy_(model.parameters().get(parameter.name).value);
  }
  EXPECT_TRUE(plain.forward(tokens).logits.allclose(closed));
}

TEST(LanguageModel, ThePonderTermIsTheShareOfTheLoopsBeyondTheFirst) {
  auto config = looped_config(5);
  config.max_loops = {5, 0};
  config.ponder_weight = 0.25;
  const auto model = made(config);
  const auto tokens = some_tokens(2, 8);
  const auto loss = model.loss(tokens, tokens);
  const double mean = loss.expected_loops[0].mean().item<double>();
  EXPECT_NEAR(loss.ponder.item<double>(), (mean - 1) / 4, 1e-6);
  EXPECT_NEAR(loss.total.item<double>(),
              loss.cross_entropy.item<double>() + 0.25 * loss.ponder.item<double>(), 1e-6);
  loss.ponder.backward();
  const auto& router = model.parameters().get("layers.0.router.bias").value;
  EXPECT_GT(std::abs(router.grad().item<double>()), 1e-4) << "an integer count has no gradient";
}

TEST(LanguageModel, ALossMayWeighThePonderTermAnew) {
  auto config = looped_config(5);
  config.ponder_weight = 0.25;
  const auto model = made(config);
  const auto tokens = some_tokens(2, 8);
  for (const double weight : {0.0, 0.5}) {
    const auto loss = model.loss(tokens, tokens, {.ponder_weight = weight});
    EXPECT_GT(loss.ponder.item<double>(), 0.1);
    EXPECT_NEAR(loss.total.item<double>(),
                loss.cross_entropy.item<double>() + weight * loss.ponder.item<double>(), 1e-6);
  }
}

TEST(LanguageModel, TargetsThatAreIgnoredDoNotCount) {
  const auto model = made(looped_config(2));
  const auto tokens = some_tokens(1, 6);
  auto targets = tokens.clone();
  targets.narrow(1, 2, 4).fill_(kIgnoreTarget);
  const auto log_probabilities = at::log_softmax(model.forward(tokens).logits, -1);  // [1, 6, V]
  const double expected = -(log_probabilities[0][0][tokens[0][0].item<int64_t>()].item<double>() +
                            log_probabilities[0][1][tokens[0][1].item<int64_t>()].item<double>()) /
                          2;
  EXPECT_NEAR(model.loss(tokens, targets).total.item<double>(), expected, 1e-5);
}

TEST(LanguageModel, RefusesWhatItCannotRead) {
  const auto model = made(looped_config(2));
  EXPECT_EQ(error_of(ErrorCode::kShape, [&] { return model.forward(some_tokens(1, 25)); }),
            "forward: expected at most 24 tokens a sequence (max_position_embeddings), got 25. "
            "Shorten the sequence or train a model with more positions.");
  EXPECT_EQ(error_of(ErrorCode::kShape, [&] { return model.forward(at::zeros({3}, at::kLong)); }),
            "forward: expected tokens [B, T] int64 with at least one, got [3] Long.");
  EXPECT_EQ(
      error_of(ErrorCode::kDtype,
               [&] { return model.forward(some_tokens(1, 4), {.compute_dtype = at::kHalf}); }),
      "forward: expected compute in Float, BFloat16 or Double, got Half.");
  EXPECT_EQ(
      error_of(ErrorCode::kShape, [&] { return model.loss(some_tokens(1, 4), some_tokens(1, 5)); }),
      "loss: expected targets of shape [1, 4], got [1, 5].");
}

}  // namespace
}  // namespace loopbank
