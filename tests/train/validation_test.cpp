#include "loopbank/train/validation.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/log_softmax.h>
#include <gtest/gtest.h>

#include <cmath>

#include "loopbank/train/train_step.h"
#include "small_run.h"

namespace loopbank {
namespace {

using testing::small_run;
using testing::TestDirectory;

constexpr double kTolerance = 1e-5;  // of losses near 5.5, in fp32

LanguageModel random_model(const RunConfig& run) {
  LanguageModel model(run.model);
  model.parameters().initialize(/*seed=*/3);
  const at::NoGradGuard no_grad;
  for (const auto& parameter : model.parameters().all()) {
    if (parameter.kind == ParameterKind::kLoopScale) {
      parameter.value.detach().fill_(1.0);  // loops that change the state
    }
  }
  return model;
}

struct Sums {
  double nats = 0.0;
  int64_t tokens = 0;
  int64_t bytes = 0;
};

/// Row by row from the logits, with a budget of loops.
Sums score(const LanguageModel& model, const std::string& path, int64_t rows, int64_t length,
           int64_t budget) {
  const at::NoGradGuard no_grad;
  const TokenFile file(path);
  std::vector<int64_t> ids(static_cast<size_t>(rows * length + 1));
  file.copy(0, rows * length + 1, ids.data());
  Sums sums;
  for (int64_t row = 0; row < rows; ++row) {
    const auto* from = ids.data() + row * length;
    const auto tokens = at::empty({1, length}, at::kLong);
    std::copy(from, from + length, tokens.data_ptr<int64_t>());
    const auto logits = model.forward(tokens, {.max_loops = budget}).logits[0];  // [T, V]
    const auto log_probabilities = at::log_softmax(logits.to(at::kDouble), 1);
    for (int64_t t = 0; t < length; ++t) {
      const auto target = from[t + 1];
      sums.nats -= log_probabilities[t][target].item<double>();
      sums.tokens += 1;
      sums.bytes += target < 256 ? 1 : 0;  // the token between documents is no text
    }
  }
  return sums;
}

TEST(Validator, LossAndBitsPerByteAreThoseOfTheLogits) {
  const TestDirectory directory;
  const auto run = small_run(directory);
  const auto model = random_model(run);
  const auto file = std::make_shared<const TokenFile>(run.data.validation);
  const Validator validator(file, Tokenizer::bytes(), run.training);
  ASSERT_EQ(validator.num_rows(), 5);  // a pass of 4 and one of 1
  const auto metrics = validator.validate(model, /*step=*/9, {});
  const auto sums = score(model, run.data.validation, 5, 16, /*budget=*/0);
  EXPECT_EQ(metrics.step, 9);
  EXPECT_LT(sums.bytes, sums.tokens);
  EXPECT_EQ(validator.num_bytes(), sums.bytes);
  EXPECT_NEAR(metrics.loss, sums.nats / static_cast<double>(sums.tokens), kTolerance);
  EXPECT_NEAR(metrics.bpb, sums.nats / std::log(2.0) / static_cast<double>(sums.bytes),
              2 * kTolerance);
}

TEST(Validator, EveryBudgetIsScoredOnTheSameWeights) {
  const TestDirectory directory;
  auto run = small_run(directory);
  run.model.max_loops = {3, 1};
  const auto model = random_model(run);
  const auto file = std::make_shared<const TokenFile>(run.data.validation);
  const auto metrics = Validator(file, Tokenizer::bytes(), run.training).validate(model, 1, {});
  ASSERT_EQ(metrics.loss_by_loops.size(), 3U);
  for (const auto& [budget, loss] : metrics.loss_by_loops) {
    const auto sums = score(model, run.data.validation, 5, 16, budget);
    EXPECT_NEAR(loss, sums.nats / static_cast<double>(sums.tokens), kTolerance) << budget;
  }
  EXPECT_EQ(metrics.loss_by_loops.at(3), metrics.loss);
  EXPECT_NE(metrics.loss_by_loops.at(1), metrics.loss_by_loops.at(2));
  ASSERT_EQ(metrics.loops_by_layer.size(), 2U);
  EXPECT_GT(metrics.loops_by_layer[0], 1.0);
  EXPECT_EQ(metrics.loops_by_layer[1], 1.0);
}

TEST(Validator, GatesAreMeansOfEachLayer) {
  const TestDirectory directory;
  auto run = small_run(directory);
  run.model.memory_gate_bias_init = 3.0;
  run.model.global_memory_slots = 0;
  const auto model = random_model(run);
  const auto file = std::make_shared<const TokenFile>(run.data.validation);
  const auto metrics = Validator(file, Tokenizer::bytes(), run.training).validate(model, 1, {});
  ASSERT_EQ(metrics.local_gates.size(), 2U);
  for (const auto gate : metrics.local_gates) {
    EXPECT_NEAR(gate, 1 / (1 + std::exp(-3.0)), 1e-5);  // W_g starts at 0
  }
  EXPECT_TRUE(metrics.global_gates.empty());
}

TEST(Validator, ADenseModelHasNoBudgetsAndNoGates) {
  const TestDirectory directory;
  auto run = small_run(directory);
  run.model.max_loops = {};
  run.model.local_memory_slots = run.model.global_memory_slots = 0;
  run.training.validation_rows = 1000;
  const auto model = random_model(run);
  const auto file = std::make_shared<const TokenFile>(run.data.validation);
  const Validator validator(file, Tokenizer::bytes(), run.training);
  EXPECT_EQ(validator.num_rows(), (file->num_tokens() - 1) / 16);
  const auto metrics = validator.validate(model, 1, {});
  EXPECT_EQ(metrics.mean_loops, 1.0);
  EXPECT_TRUE(metrics.loss_by_loops.empty());
  EXPECT_TRUE(metrics.loops_by_layer.empty());
  EXPECT_TRUE(metrics.local_gates.empty());
}

TEST(AccumulateGradients, PassesOfAnySizeGiveTheSameGradients) {
  const TestDirectory directory;
  const auto run = small_run(directory);
  const auto file = std::make_shared<const TokenFile>(run.data.train.joined());
  BatchSampler sampler(file, 1);
  const auto batch = sampler.next(4, 16);
  auto whole = random_model(run);
  auto parts = random_model(run);
  const auto one = accumulate_gradients(whole, batch, 4, {});
  for (const int64_t rows : {2, 1}) {
    for (const auto& parameter : parts.parameters().all()) {
      auto value = parameter.value;
      value.mutable_grad().reset();
    }
    const auto several = accumulate_gradients(parts, batch, rows, {});
    EXPECT_NEAR(several.loss, one.loss, kTolerance);
    EXPECT_NEAR(several.ponder, one.ponder, kTolerance);
    ASSERT_EQ(several.loops_by_layer.size(), 2U);
    EXPECT_NEAR(several.loops_by_layer[1], one.loops_by_layer[1], kTolerance);
    for (const auto& parameter : whole.parameters().all()) {
      const auto expected = parameter.value.grad().to_dense();
      const auto found = parts.parameters().get(parameter.name).value.grad().to_dense();
      ASSERT_EQ(found.defined(), expected.defined()) << parameter.name;
      if (expected.defined()) {
        EXPECT_TRUE(at::allclose(found, expected, 1e-3, 1e-6)) << parameter.name;
      }
    }
  }
}

}  // namespace
}  // namespace loopbank
