/// What must hold of every model, whatever its equations: linked into the program of each change.

#include "tour_model.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/sin.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "loopbank/infer/engine.h"
#include "loopbank/ops/kernels.h"

namespace loopbank::testing {
namespace {

constexpr int64_t kVocabulary = 53;

LossOutput loss_of(const LanguageModel& model, const at::Tensor& tokens,
                   const ForwardOptions& options) {
  return model.loss(tokens, (tokens * 7 + 3).remainder(kVocabulary), options);
}

double in_double(const at::Tensor& x) {
  return x.to(at::kDouble).item<double>();
}

/// A direction without zeros, as long as a parameter.
at::Tensor direction_like(const at::Tensor& value) {
  return at::sin(at::arange(value.numel(), at::kFloat) * 1.7 + 0.4).view(value.sizes());
}

}  // namespace

LanguageModel tour_model() {
  ModelConfig config;
  config.vocab_size = kVocabulary;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.max_position_embeddings = 160;
  config.max_loops = {3, 0};
  config.loop_scale_init = 0.5;
  config.local_memory_slots = 5;
  config.global_memory_slots = 3;
  config.ponder_weight = 0.1;
  LanguageModel model(config);
  model.parameters().initialize(/*seed=*/11);
  const at::NoGradGuard no_grad;
  for (const auto& parameter : model.parameters().all()) {
    auto value = parameter.value;
    value.add_(direction_like(value) * 0.05);
  }
  return model;
}

at::Tensor tour_tokens(int64_t batch, int64_t length) {
  return (at::arange(batch * length) * 31).remainder(kVocabulary).view({batch, length});
}

void set_parameter(const LanguageModel& model, const std::string& name, double value) {
  const at::NoGradGuard no_grad;
  auto parameter = model.parameters().get(name).value;
  parameter.fill_(value);
}

namespace {

TEST(ChangedModel, HasTheGradientsOfItsLoss) {
  const auto model = tour_model();
  const auto tokens = tour_tokens(2, 9);
  const ForwardOptions exact{.compute_dtype = at::kDouble};
  loss_of(model, tokens, exact).total.backward();
  for (const auto& parameter : model.parameters().all()) {
    const at::NoGradGuard no_grad;
    auto value = parameter.value;
    ASSERT_TRUE(value.grad().defined()) << parameter.name;
    const auto before = value.clone();
    const auto step = direction_like(value) * 2e-4;
    value.copy_(before + step);
    const auto above = value.to(at::kDouble);
    const double loss_above = in_double(loss_of(model, tokens, exact).total);
    value.copy_(before - step);
    const double loss_below = in_double(loss_of(model, tokens, exact).total);
    const auto moved = above - value.to(at::kDouble);  // as fp32 rounds it
    value.copy_(before);
    const double expected = loss_above - loss_below;
    const double actual = in_double((value.grad().to_dense().to(at::kDouble) * moved).sum());
    EXPECT_NEAR(actual, expected, 1e-4 * std::abs(expected) + 1e-9) << parameter.name;
  }
}

TEST(ChangedModel, IsTheSameWithBothSetsOfKernels) {
  const auto model = tour_model();
  const auto tokens = tour_tokens(2, 160);  // rows enough for the fused blocks
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const auto loss_with = [&](ops::Kernels kernels) {
      const ops::KernelsScope scope(kernels);
      return in_double(loss_of(model, tokens, {.compute_dtype = type}).total);
    };
    EXPECT_NEAR(loss_with(ops::Kernels::kFused), loss_with(ops::Kernels::kReference),
                type == at::kFloat ? 1e-5 : 1e-2)
        << c10::toString(type);
  }
}

TEST(ChangedModel, SaysTokenByTokenWhatItSaysOfTheWholeText) {
  const at::NoGradGuard no_grad;
  const auto model = tour_model();
  const auto tokens = tour_tokens(1, 7);
  const auto expected = model.forward(tokens).logits[0].log_softmax(1);  // [T, V]
  Engine engine(model, {.batch_tokens = 1});
  Request request;
  request.max_tokens = 0;
  request.score_from = 1;
  for (int64_t i = 0; i < tokens.size(1); ++i) {
    request.prompt.push_back(tokens[0][i].item<TokenId>());
  }
  engine.add(request);
  while (!engine.idle()) {
    for (const auto& scored : engine.step().scored) {
      const auto token = request.prompt[static_cast<size_t>(scored.place)];
      EXPECT_NEAR(scored.log_probability, expected[scored.place - 1][token].item<double>(), 1e-4);
    }
  }
}

TEST(ChangedModel, HasTheSameGradientsWhereLoopsAreComputedAgain) {
  std::vector<at::Tensor> kept;
  for (const auto choice : {Recompute::kNone, Recompute::kLoop, Recompute::kLayer}) {
    const auto model = tour_model();
    loss_of(model, tour_tokens(2, 9), {.recompute = choice}).total.backward();
    for (size_t i = 0; i < model.parameters().all().size(); ++i) {
      const auto gradient = model.parameters().all()[i].value.grad().to_dense();
      if (choice == Recompute::kNone) {
        kept.push_back(gradient);
      }
      const double off = (gradient - kept[i]).abs().max().item<double>();
      EXPECT_LE(off, 1e-4 * kept[i].abs().max().item<double>() + 1e-7)
          << model.parameters().all()[i].name;
    }
  }
}

TEST(ChangedModel, Learns) {
  const auto model = tour_model();
  const auto tokens = tour_tokens(2, 24);
  const double first = in_double(loss_of(model, tokens, {}).cross_entropy);
  for (int step = 0; step < 40; ++step) {
    loss_of(model, tokens, {}).total.backward();
    const at::NoGradGuard no_grad;
    for (const auto& parameter : model.parameters().all()) {
      auto value = parameter.value;
      value.sub_(value.grad().to_dense() * 0.3);
      value.mutable_grad().reset();
    }
  }
  EXPECT_LT(in_double(loss_of(model, tokens, {}).cross_entropy), 0.7 * first);
}

}  // namespace
}  // namespace loopbank::testing
