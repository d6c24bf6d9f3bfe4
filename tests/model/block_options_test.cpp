/// What imported models have in their block: no norm of queries and keys or one before the rotation,
/// biases, heads of any width, scaled angles, linear loop scales, a tied head.

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "loopbank/model/cost.h"
#include "loopbank/model/language_model.h"
#include "loopbank/model/loop_scale.h"
#include "loopbank/ops/kernels.h"
#include "looped_config.h"

namespace loopbank {
namespace {

ModelConfig option_base() {
  auto config = looped_config(3);
  config.num_key_value_heads = 2;
  config.local_memory_slots = 5;
  config.global_memory_slots = 3;
  config.ponder_weight = 0.1;
  return config;
}

ModelConfig all_options(const std::string& qk_norm = "before") {
  auto config = option_base();
  config.qk_norm = qk_norm;
  config.attention_bias = true;
  config.attention_output_bias = true;
  config.head_dim = 6;
  config.rope_scaling = {.rope_type = "yarn", .factor = 4.0, .original_max_position_embeddings = 8};
  config.loop_scale_kind = "linear";
  config.loop_scale_init = 0.0;
  config.first_loop_scale_init = 1.0;
  config.tie_word_embeddings = true;
  return config;
}

/// Each option alone, and all together.
std::map<std::string, ModelConfig> option_configs() {
  std::map<std::string, ModelConfig> configs;
  const auto add = [&](const std::string& name, const auto& change) {
    auto config = option_base();
    change(config);
    configs.emplace(name, config);
  };
  add("no norm", [](ModelConfig& c) { c.qk_norm = "none"; });
  add("norm before", [](ModelConfig& c) { c.qk_norm = "before"; });
  add("biases", [](ModelConfig& c) { c.attention_bias = c.attention_output_bias = true; });
  add("narrow heads", [](ModelConfig& c) { c.head_dim = 6; });
  add("wide heads", [](ModelConfig& c) { c.head_dim = 18; });
  add("scaled angles",
      [](ModelConfig& c) { c.rope_scaling = {.rope_type = "linear", .factor = 3.0}; });
  add("linear scales", [](ModelConfig& c) {
    c.loop_scale_kind = "linear";
    c.loop_scale_init = 0.5;
  });
  add("dense without norm", [](ModelConfig& c) {
    c.max_loops = 0;
    c.local_memory_slots = c.global_memory_slots = 0;
    c.qk_norm = "none";
    c.attention_bias = true;
  });
  configs.emplace("all", all_options());
  configs.emplace("all but a norm", all_options("none"));
  return configs;
}

/// Values far from the initial ones, so that every parameter counts.
LanguageModel scattered_model(const ModelConfig& config) {
  LanguageModel model(config);
  model.parameters().initialize(3);
  const at::NoGradGuard no_grad;
  auto generator = at::detail::createCPUGenerator(4);
  for (const auto& parameter : model.parameters().all()) {
    const auto noise = at::randn(parameter.value.sizes(), generator);
    const bool is_scale = parameter.kind == ParameterKind::kLoopScale;
    auto value = parameter.value;
    is_scale ? value.copy_(0.6 + 0.2 * noise) : value.add_(0.15 * noise);
  }
  return model;
}

at::Tensor some_tokens(int64_t first = 0) {
  return at::arange(first, first + 46).view({2, 23}).mul(7).remainder(97);
}

/// The loss, and every gradient by name.
std::map<std::string, at::Tensor> loss_and_gradients(const LanguageModel& model,
                                                     at::ScalarType dtype,
                                                     Recompute recompute = Recompute::kNone) {
  std::map<std::string, at::Tensor> all;
  for (const auto& parameter : model.parameters().all()) {
    auto value = parameter.value;
    value.mutable_grad() = at::Tensor();
  }
  const auto loss =
      model.loss(some_tokens(), some_tokens(3), {.compute_dtype = dtype, .recompute = recompute});
  loss.total.backward();
  all["loss"] = loss.total.detach().clone();
  for (const auto& parameter : model.parameters().all()) {
    // Its gradient is zero by its equation, and rounding in any program.
    if (parameter.name != "memory.key_norm.bias") {
      EXPECT_TRUE(parameter.value.grad().defined()) << parameter.name;
      all[parameter.name] = parameter.value.grad().to_dense().clone();
    }
  }
  return all;
}

/// max |a - b| / max |b|
void expect_alike(const std::map<std::string, at::Tensor>& actual,
                  const std::map<std::string, at::Tensor>& expected, double tolerance,
                  const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [name, value] : expected) {
    const double largest = value.abs().max().item<double>();
    const double off = (actual.at(name) - value).abs().max().item<double>();
    EXPECT_GT(largest, 0.0) << what << ": " << name << " gets no gradient";
    EXPECT_LE(off, tolerance * largest) << what << ": " << name;
  }
}

TEST(BlockOptions, FusedAndReferenceAgreeInLossAndGradients) {
  for (const auto& [name, config] : option_configs()) {
    const auto model = scattered_model(config);
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const auto fused = loss_and_gradients(model, dtype);
      const ops::KernelsScope scope(ops::Kernels::kReference);
      const auto reference = loss_and_gradients(model, dtype);
      expect_alike(fused, reference, dtype == at::kFloat ? 2e-5 : 8e-2, name);
    }
  }
}

TEST(BlockOptions, ChangeWhatTheModelComputes) {
  // A bias that starts at 0, a norm of ones or angles of short texts would show in no comparison.
  const at::NoGradGuard no_grad;
  const auto base = scattered_model(option_base()).forward(some_tokens()).logits;
  for (const auto& [name, config] : option_configs()) {
    const auto model = scattered_model(config);
    EXPECT_GT((model.forward(some_tokens()).logits - base).abs().max().item<double>(), 1e-3)
        << name;
    EXPECT_TRUE(model.forward(some_tokens()).logits.isfinite().all().item<bool>()) << name;
  }
}

TEST(BlockOptions, WhatIsComputedAgainGivesTheSameGradients) {
  for (const auto* const qk_norm : {"before", "none"}) {
    const auto model = scattered_model(all_options(qk_norm));
    const auto expected = loss_and_gradients(model, at::kFloat);
    for (const auto recompute : {Recompute::kLoop, Recompute::kLayer}) {
      expect_alike(loss_and_gradients(model, at::kFloat, recompute), expected, 1e-5, qk_norm);
    }
  }
}

TEST(BlockOptions, ParametersAreThoseThatTheCostCounts) {
  for (const auto& [name, config] : option_configs()) {
    const LanguageModel model(config);
    EXPECT_EQ(static_cast<double>(model.parameters().count()),
              model_cost(config, 8).parameters.total())
        << name;
  }
  std::map<std::string, std::vector<int64_t>> shapes;
  const LanguageModel model(all_options("none"));
  for (const auto& parameter : model.parameters().all()) {
    shapes[parameter.name] = parameter.value.sizes().vec();
  }
  const std::string attention = "layers.1.block.attention.";
  EXPECT_EQ(shapes.at(attention + "query.weight"), (std::vector<int64_t>{24, 32}));
  EXPECT_EQ(shapes.at(attention + "query.bias"), (std::vector<int64_t>{24}));
  EXPECT_EQ(shapes.at(attention + "key.bias"), (std::vector<int64_t>{12}));
  EXPECT_EQ(shapes.at(attention + "value.bias"), (std::vector<int64_t>{12}));
  EXPECT_EQ(shapes.at(attention + "output.weight"), (std::vector<int64_t>{32, 24}));
  EXPECT_EQ(shapes.at(attention + "output.bias"), (std::vector<int64_t>{32}));
  EXPECT_EQ(shapes.count(attention + "query_norm.weight"), 0U);
  EXPECT_EQ(shapes.count(attention + "key_norm.weight"), 0U);
  EXPECT_FALSE(model.parameters().get(attention + "query.bias").decays());
}

TEST(LoopScale, IsAlphaItselfWhereItIsLinear) {
  const auto alpha = at::tensor({-7.0, 0.0, 1.0});
  EXPECT_TRUE(loop_scale(alpha, "linear").equal(alpha));
  EXPECT_NEAR(loop_scale(alpha, "softplus")[1].item<double>(), std::log(2.0), 1e-7);
  // Both kinds are the same model where their scales are.
  auto config = option_base();
  const auto soft = scattered_model(config);
  config.loop_scale_kind = "linear";
  config.loop_scale_init = 0.5;
  const auto linear = scattered_model(config);
  const at::NoGradGuard no_grad;
  for (const auto& parameter : soft.parameters().all()) {
    auto value = linear.parameters().get(parameter.name).value;
    const bool is_scale = parameter.kind == ParameterKind::kLoopScale;
    value.copy_(is_scale ? loop_scale(parameter.value, "softplus") : parameter.value);
  }
  EXPECT_TRUE(soft.forward(some_tokens()).logits.equal(linear.forward(some_tokens()).logits));
}

TEST(LoopScale, ALinearScaleOfZeroLearns) {
  auto config = option_base();
  config.loop_scale_kind = "linear";
  config.loop_scale_init = 0.0;
  config.first_loop_scale_init = 1.0;
  LanguageModel model(config);
  model.parameters().initialize(1);
  const auto alpha = model.parameters().get("layers.0.loop_scale").value;
  EXPECT_TRUE(alpha.detach().equal(at::tensor({1.0F, 0.0F, 0.0F})));
  model.loss(some_tokens(), some_tokens(1)).total.backward();
  EXPECT_GT(alpha.grad().abs().min().item<double>(), 1e-6);
}

}  // namespace
}  // namespace loopbank
