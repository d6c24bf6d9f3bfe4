#include "loopbank/dissect/probe.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>

#include "tests/eval/bigram_model.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::kByteVocabulary;
using testing::TestDirectory;

using ByName = std::map<std::string, at::Tensor>;

ByName probed(const LanguageModel& model, const at::Tensor& tokens,
              const ProbeOptions& options = {}) {
  const auto named = probe(model, tokens, options);
  return {named.begin(), named.end()};
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return (a - b).abs().max().item<double>();
}

/// A small model whose layers may differ in their loops; 0: all layers dense.
LanguageModel probed_model(std::vector<int64_t> loops, int64_t slots, double ponder_weight = 0.0) {
  ModelConfig config;
  config.vocab_size = kByteVocabulary;
  config.hidden_size = 16;
  config.intermediate_size = 24;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.max_position_embeddings = 12;
  config.max_loops = loops.size() > 1 ? IntOrList(loops) : IntOrList(loops.front());
  config.loop_scale_init = 0.0;
  config.local_memory_slots = slots;
  config.global_memory_slots = slots / 2;
  config.ponder_weight = ponder_weight;
  LanguageModel model(config);
  model.parameters().initialize(/*seed=*/9);
  return model;
}

at::Tensor some_tokens() {
  return at::tensor(std::vector<int64_t>{5, 250, 7, 8, 9, 5, 5, 100, 200, 3}).view({2, 5});
}

TEST(Probe, LogitsAreThoseOfForward) {
  const auto model = probed_model({3}, 4);
  const auto values = probed(model, some_tokens());
  EXPECT_EQ(values.at("logits").sizes(), (at::IntArrayRef{2, 5, kByteVocabulary}));
  EXPECT_LT(largest_difference(values.at("logits"), model.forward(some_tokens()).logits.detach()),
            1e-6);
}

TEST(Probe, LossIsTheNextTokenWithinEachRowAndThePonderTerm) {
  const double ponder_weight = 0.5;
  const auto model = probed_model({3}, 4, ponder_weight);
  const auto values = probed(model, some_tokens());
  const auto log_probabilities = at::log_softmax(values.at("logits").to(at::kDouble), -1);
  double sum = 0.0;
  for (int64_t row = 0; row < 2; ++row) {
    for (int64_t t = 0; t + 1 < 5; ++t) {
      const auto next = some_tokens()[row][t + 1].item<int64_t>();
      sum -= log_probabilities[row][t][next].item<double>();
    }
  }
  const double ponder =
      (values.at("expected_loops").to(at::kDouble).mean().item<double>() - 1.0) / 2.0;
  EXPECT_EQ(values.at("loss").dim(), 0);
  EXPECT_NEAR(values.at("loss").item<double>(), sum / 8.0 + ponder_weight * ponder, 1e-5);
}

TEST(Probe, HaltingSumsToOneAndGivesTheLoops) {
  const auto values = probed(probed_model({3}, 4), some_tokens());
  const auto& halting = values.at("halting");
  EXPECT_EQ(halting.sizes(), (at::IntArrayRef{2, 3, 2, 5}));
  EXPECT_LT(largest_difference(halting.sum(1), at::ones({2, 2, 5})), 1e-6);
  const auto steps = at::arange(1, 4).view({1, 3, 1, 1});
  EXPECT_LT(largest_difference((halting * steps).sum(1), values.at("expected_loops")), 1e-5);
  for (const char* gate : {"local_gate", "global_gate"}) {
    EXPECT_EQ(values.at(gate).sizes(), (at::IntArrayRef{2, 3, 2, 5})) << gate;
    EXPECT_GT(values.at(gate).min().item<float>(), 0.0F) << gate;
    EXPECT_LT(values.at(gate).max().item<float>(), 1.0F) << gate;
  }
}

TEST(Probe, LayersWithFewerLoopsArePaddedWithZeros) {
  const auto values = probed(probed_model({1, 3}, 4), some_tokens());
  const auto& halting = values.at("halting");
  EXPECT_EQ(halting.sizes(), (at::IntArrayRef{2, 3, 2, 5}));
  EXPECT_TRUE(at::equal(halting[0][0], at::ones({2, 5})));
  EXPECT_TRUE(at::equal(halting[0].narrow(0, 1, 2), at::zeros({2, 2, 5})));
  EXPECT_GT(halting[1].min().item<float>(), 0.0F);
  EXPECT_TRUE(at::equal(values.at("local_gate")[0].narrow(0, 1, 2), at::zeros({2, 2, 5})));
  EXPECT_GT(values.at("local_gate")[1].min().item<float>(), 0.0F);
}

TEST(Probe, ADenseLayerAmongOthersRunsOnce) {
  const auto values = probed(probed_model({0, 2}, 4), some_tokens());
  EXPECT_TRUE(at::equal(values.at("halting")[0][0], at::ones({2, 5})));
  EXPECT_TRUE(at::equal(values.at("halting")[0][1], at::zeros({2, 5})));
  EXPECT_TRUE(at::equal(values.at("expected_loops")[0], at::ones({2, 5})));
  EXPECT_TRUE(at::equal(values.at("local_gate")[0], at::zeros({2, 2, 5})));
  EXPECT_GT(values.at("local_gate")[1].min().item<float>(), 0.0F);
}

TEST(Probe, ADenseModelHasNoGates) {
  const auto values = probed(probed_model({0}, 0), some_tokens());
  EXPECT_TRUE(at::equal(values.at("halting"), at::ones({2, 1, 2, 5})));
  EXPECT_TRUE(at::equal(values.at("expected_loops"), at::ones({2, 2, 5})));
  EXPECT_EQ(values.count("local_gate"), 0U);
  EXPECT_EQ(values.count("global_gate"), 0U);
}

TEST(Probe, ABudgetLeavesLaterLoopsAtZero) {
  ProbeOptions options;
  options.max_loops = 2;
  const auto values = probed(probed_model({3}, 4), some_tokens(), options);
  EXPECT_EQ(values.at("halting").sizes(), (at::IntArrayRef{2, 3, 2, 5}));
  EXPECT_EQ(values.at("halting").select(1, 2).abs().max().item<float>(), 0.0F);
  EXPECT_LT(largest_difference(values.at("halting").sum(1), at::ones({2, 2, 5})), 1e-6);
}

TEST(Probe, OneTokenARowHasNothingToPredict) {
  const auto values = probed(probed_model({2}, 0), some_tokens().narrow(1, 0, 1));
  EXPECT_EQ(values.at("logits").size(1), 1);
  EXPECT_EQ(values.at("loss").item<float>(), 0.0F);
}

TEST(Probe, GradientsAreThoseOfTheLoss) {
  const auto model = probed_model({2}, 4, /*ponder_weight=*/0.5);
  ProbeOptions options;
  options.gradients = true;
  const auto values = probed(model, some_tokens(), options);
  EXPECT_EQ(probed(model, some_tokens()).count("grad.head.weight"), 0U);
  // Central differences at the entry of each parameter with the largest gradient.
  for (const auto& parameter : model.parameters().all()) {
    const auto& gradient = values.at("grad." + parameter.name);
    ASSERT_EQ(gradient.sizes(), parameter.value.sizes()) << parameter.name;
    EXPECT_FALSE(parameter.value.grad().defined()) << parameter.name;
    const auto entry = gradient.abs().argmax().item<int64_t>();
    const double expected = gradient.flatten()[entry].item<double>();
    auto cell = parameter.value.detach().view(-1)[entry];
    const double old = cell.item<double>();
    const double step = 1e-2;
    cell.fill_(old + step);
    const double above = probed(model, some_tokens()).at("loss").item<double>();
    cell.fill_(old - step);
    const double below = probed(model, some_tokens()).at("loss").item<double>();
    cell.fill_(old);
    // fp32 losses near 5 round at 5e-7, so differences over 2e-2 at 5e-5.
    EXPECT_NEAR((above - below) / (2 * step), expected, 2e-4 + 0.05 * std::abs(expected))
        << parameter.name;
  }
}

TEST(Probe, WhatTheLossDoesNotDependOnHasAZeroGradient) {
  // With one loop nothing asks the router.
  const auto model = probed_model({1}, 0);
  ProbeOptions options;
  options.gradients = true;
  const auto values = probed(model, some_tokens(), options);
  EXPECT_EQ(values.at("grad.layers.0.router.bias").abs().max().item<float>(), 0.0F);
  EXPECT_GT(values.at("grad.head.weight").abs().max().item<float>(), 0.0F);
}

TEST(Probe, TheFileHoldsWhatWasProbed) {
  const TestDirectory directory;
  const auto path = directory.path() / "probe.safetensors";
  const auto named = probe(probed_model({2}, 4), some_tokens());
  write_safetensors(path, named);
  const auto read = read_safetensors(path).tensors;
  ASSERT_EQ(read.size(), named.size());
  for (size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(read[i].first, named[i].first);
    EXPECT_TRUE(at::equal(read[i].second, named[i].second)) << read[i].first;
  }
}

TEST(Probe, MistakesAreNamed) {
  const auto model = probed_model({2}, 0);
  expect_contains(error_of(ErrorCode::kShape,
                           [&] {
                             (void)probe(model, at::zeros({1, 13}, at::kLong));
                           }),
                  "expected rows of at most 12 tokens (max_position_embeddings), got 13");
  ProbeOptions options;
  options.max_loops = 3;
  expect_contains(error_of(ErrorCode::kConfig, [&] { (void)probe(model, some_tokens(), options); }),
                  "probe: \"max_loops\" expects a loop budget from 1 to 2, or 0 for each layer's "
                  "own N, got 3.");
}

TEST(ReadProbeTokens, RowsBecomeATensor) {
  const TestDirectory directory;
  const auto path = directory.write("t.json", R"({"tokens": [[1, 2, 3], [4, 5, 6]]})");
  EXPECT_TRUE(at::equal(read_probe_tokens(path, 7), at::arange(1, 7).view({2, 3})));
}

TEST(ReadProbeTokens, MistakesAreNamed) {
  const TestDirectory directory;
  const std::map<std::string, std::string> cases = {
      {R"({"tokens": [[1, 2], [3]]})",
       "expected rows of one length, got 2 ids in tokens[0] and 1 in tokens[1]"},
      {R"({"tokens": [[1, 7]]})", "expected an id in [0, 7) in tokens[0][1], got 7"},
      {R"({"tokens": [[1], [-1]]})", "expected an id in [0, 7) in tokens[1][0], got -1"},
      {R"({"tokens": [[1.5]]})", "got 1.5"},
      {R"({"tokens": [["a"]]})", "got \"a\""},
      {R"({"tokens": [[]]})", "expected a list of at least one id in tokens[0], got []"},
      {R"({"tokens": [1, 2]})", "expected a list of at least one id in tokens[0], got 1"},
      {R"({"tokens": []})", "with at least one row"},
      {R"({"ids": [[1]]})", "expected {\"tokens\": [[id, ...], ...]}"},
      {R"([[1]])", "expected {\"tokens\": [[id, ...], ...]}"},
      {R"({"tokens": [[1)", ": expected {\"tokens\": [[id, ...], ...]}, got broken JSON"},
      {R"({"tokens": [[18446744073709551615]]})", "expected an id in [0, 7)"},
  };
  for (const auto& [text, part] : cases) {
    const auto path = directory.write("t.json", text);
    const auto message =
        error_of(ErrorCode::kData, [&path = path] { (void)read_probe_tokens(path, 7); });
    expect_contains(message, "t.json:");
    expect_contains(message, part);
  }
}

}  // namespace
}  // namespace loopbank
