/// Whether an upcycled model learns to use what it was given: every new parameter is reached by a
/// gradient, and after a few steps loops and banks matter. The same is asked of two models that are
/// dead by construction, so that the question can be answered with no.

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randint.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "loopbank/interop/upcycle.h"
#include "loopbank/train/optimizer.h"

namespace loopbank {
namespace {

constexpr int64_t kVocabulary = 24;
constexpr int64_t kRows = 8;
constexpr int64_t kLength = 16;
/// Loss that counts as a change, nats a token: far above fp32's rounding of the mean of 128 terms. What
/// is alive moves it by 9e-4 to 2e-2 (banks, on two kinds of CPU), what is dead by 1e-5 at most.
constexpr double kMatters = 2e-4;

ModelConfig small_dense_config() {
  ModelConfig config;
  config.vocab_size = kVocabulary;
  config.hidden_size = 16;
  config.intermediate_size = 16;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.max_position_embeddings = kLength;
  return config;
}

/// Rows in which each token is the sum of the two before it, modulo V: a rule that takes attention
/// and a table of V x V sums.
at::Tensor sums(uint64_t seed) {
  auto generator = at::detail::createCPUGenerator(seed);
  const auto starts =
      at::randint(kVocabulary, {kRows, 2}, generator, at::TensorOptions().dtype(at::kLong));
  auto rows = at::empty({kRows, kLength + 1}, at::kLong);
  auto* const values = rows.data_ptr<int64_t>();
  const auto* const first = starts.data_ptr<int64_t>();
  for (int64_t i = 0; i < kRows; ++i) {
    auto* const row = values + i * (kLength + 1);
    row[0] = first[2 * i];
    row[1] = first[2 * i + 1];
    for (int64_t t = 2; t <= kLength; ++t) {
      row[t] = (row[t - 1] + row[t - 2]) % kVocabulary;
    }
  }
  return rows;
}

at::Tensor loss_of(const LanguageModel& model, const at::Tensor& rows, int64_t budget = 0) {
  return model
      .loss(rows.narrow(1, 0, kLength).contiguous(), rows.narrow(1, 1, kLength).contiguous(),
            {.max_loops = budget})
      .total;
}

double loss_on_held_out(const LanguageModel& model, int64_t budget = 0) {
  const at::NoGradGuard no_grad;
  return loss_of(model, sums(/*seed=*/0), budget).item<double>();
}

/// One step of AdamW per call of `after_backward`, which sees the gradients.
template <typename AfterBackward>
void train_steps(LanguageModel& model, int64_t steps, const AfterBackward& after_backward) {
  AdamW optimizer(model.parameters(), {.clip_norm = 0.0});
  for (int64_t step = 1; step <= steps; ++step) {
    loss_of(model, sums(static_cast<uint64_t>(step))).backward();
    after_backward(step);
    optimizer.step(/*learning_rate=*/3e-3);
    clear_gradients(model.parameters());
  }
}

void train_steps(LanguageModel& model, int64_t steps) {
  train_steps(model, steps, [](int64_t) {});
}

/// A dense model that has learned something, as one that is upcycled has.
const LanguageModel& trained_dense() {
  static const auto dense = [] {
    LanguageModel model(small_dense_config());
    model.parameters().initialize(/*seed=*/5);
    train_steps(model, 60);
    return model;
  }();
  return dense;
}

/// What the loss on held-out rows loses when the later loops are taken away.
double worth_of_later_loops(const LanguageModel& model) {
  return std::abs(loss_on_held_out(model, /*budget=*/1) - loss_on_held_out(model));
}

/// The same when what the banks hold is taken away.
double worth_of_banks(const LanguageModel& model) {
  const double with = loss_on_held_out(model);
  const at::NoGradGuard no_grad;
  for (const auto& parameter : model.parameters().all()) {
    if (parameter.name.ends_with("memory.values")) {
      parameter.value.zero_();
    }
  }
  return std::abs(loss_on_held_out(model) - with);
}

UpcycleOptions loops_and_memory() {
  return {.max_loops = 3, .local_slots = 6, .global_slots = 4, .gate_init = 3.0};
}

TEST(UpcycledModel, EveryNewParameterHasAGradientByTheThirdStep) {
  auto model = upcycled(trained_dense(), loops_and_memory());
  std::map<std::string, double> largest;
  train_steps(model, 3, [&](int64_t) {
    for (const auto& parameter : model.parameters().all()) {
      if (parameter.origin == Origin::kAdded) {
        const auto& gradient = parameter.value.grad();
        const double size = gradient.defined() ? gradient.abs().max().item<double>() : 0.0;
        largest[parameter.name] = std::max(largest[parameter.name], size);
      }
    }
  });
  EXPECT_GT(largest.size(), 20U);
  for (const auto& [name, size] : largest) {
    if (name == "memory.key_norm.bias") {
      // Moves all scores of a query alike, which the softmax takes no notice of, in any model.
      continue;
    }
    EXPECT_GT(size, 1e-7) << name;
  }
}

TEST(UpcycledModel, EveryLaterScaleHasAGradientAtTheFirstStep) {
  auto model = upcycled(trained_dense(), loops_and_memory());
  train_steps(model, 1, [&](int64_t) {
    for (const char* name : {"layers.0.loop_scale", "layers.1.loop_scale"}) {
      const auto gradient = model.parameters().get(name).value.grad().abs();  // [N]
      EXPECT_GT(gradient.min().item<double>(), 1e-6) << name;
    }
  });
}

TEST(UpcycledModel, AfterTwoHundredStepsLoopsAndBanksMatter) {
  auto model = upcycled(trained_dense(), loops_and_memory());
  EXPECT_LT(worth_of_later_loops(model), 1e-5) << "they start without effect";
  const double before = loss_on_held_out(model);
  train_steps(model, 200);
  EXPECT_LT(loss_on_held_out(model), before);
  EXPECT_GT(worth_of_later_loops(model), kMatters);
  EXPECT_GT(worth_of_banks(model), kMatters);
}

// The same steps leave loops dead whose scales start far in the tail of a softplus.
TEST(UpcycledModel, AScaleInTheTailOfASoftplusWouldBeFoundDead) {
  auto config = small_dense_config();
  config.max_loops = 3;
  config.loop_scale_init = -7.0;
  config.first_loop_scale_init = 0.5413;
  LanguageModel model(config);
  fill_from(model, trained_dense(), /*seed=*/1);
  const at::NoGradGuard no_grad;
  for (const char* name : {"layers.0.loop_scale", "layers.1.loop_scale"}) {
    model.parameters().get(name).value.fill_(-7.0).narrow(0, 0, 1).fill_(0.5413);
  }
  {
    const at::AutoGradMode grad(true);
    train_steps(model, 200);
  }
  EXPECT_LT(worth_of_later_loops(model), kMatters);
}

// And banks behind gates that are shut.
TEST(UpcycledModel, BanksBehindShutGatesWouldBeFoundDead) {
  auto options = loops_and_memory();
  options.gate_init = -20.0;
  auto model = upcycled(trained_dense(), options);
  train_steps(model, 200);
  EXPECT_LT(worth_of_banks(model), kMatters);
}

// And loops that no token is sent to.
TEST(UpcycledModel, ARouterThatStopsAtTheFirstLoopWouldBeFoundDead) {
  auto options = loops_and_memory();
  options.router_bias = 20.0;
  auto model = upcycled(trained_dense(), options);
  train_steps(model, 200);
  EXPECT_LT(worth_of_later_loops(model), kMatters);
}

}  // namespace
}  // namespace loopbank
