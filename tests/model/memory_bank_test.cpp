/// What a recorder sees of the reads of memory banks.

#include "loopbank/model/memory_bank.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "loopbank/model/language_model.h"

namespace loopbank {
namespace {

using Seen = std::tuple<int64_t, int64_t, bool>;  // layer, loop, global

ModelConfig config_of_two_layers() {
  ModelConfig config;
  config.vocab_size = 20;
  config.hidden_size = 16;
  config.intermediate_size = 24;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.max_position_embeddings = 8;
  config.max_loops = 2;
  config.local_memory_slots = 5;
  config.global_memory_slots = 3;
  return config;
}

LanguageModel two_layers() {
  LanguageModel model(config_of_two_layers());
  model.parameters().initialize(/*seed=*/4);
  return model;
}

at::Tensor two_rows_of_three() {
  return at::tensor(std::vector<int64_t>{5, 1, 7, 8, 19, 0}).view({2, 3});
}

TEST(OnRead, ShowsEveryReadInItsOrder) {
  const at::NoGradGuard no_grad;
  const auto model = two_layers();
  std::vector<Seen> places;
  Recorder recorder;
  recorder.on_read = [&](const MemoryRead& read) {
    places.emplace_back(read.layer, read.loop, read.global);
    EXPECT_EQ(read.query.sizes(), (at::IntArrayRef{2, 3, 16}));
    EXPECT_EQ(read.keys.sizes(), (at::IntArrayRef{read.global ? 3 : 5, 16}));
    EXPECT_EQ(read.gate.sizes(), (at::IntArrayRef{2, 3, 16}));
  };
  const std::vector<Seen> expected = {{0, 1, false}, {0, 1, true}, {0, 2, false}, {0, 2, true},
                                      {1, 1, false}, {1, 1, true}, {1, 2, false}, {1, 2, true}};
  const auto seen = model.forward(two_rows_of_three(), {.recorder = &recorder}).logits;
  EXPECT_EQ(places, expected);
  // A second pass finds it still there, with the gates of its own.
  (void)model.forward(two_rows_of_three(), {.max_loops = 1, .recorder = &recorder});
  EXPECT_EQ(places.size(), expected.size() + 4);
  EXPECT_EQ(recorder.local_gate[1].size(0), 1);
  EXPECT_TRUE(seen.equal(model.forward(two_rows_of_three()).logits));
}

TEST(OnRead, QueriesAndKeysAreThoseOfTheEquation) {
  const at::NoGradGuard no_grad;
  const auto model = two_layers();
  const auto get = [&](const std::string& name) { return model.parameters().get(name).value; };
  for (const auto* name : {"layers.0.memory.norm", "memory.query_norm", "memory.key_norm"}) {
    get(std::string(name) + ".weight").uniform_(0.5, 1.5);
    get(std::string(name) + ".bias").uniform_(-0.5, 0.5);
  }
  const auto norm = [&](const at::Tensor& x, const std::string& name) {
    return at::layer_norm(x, {16}, get(name + ".weight"), get(name + ".bias"), 1e-5);
  };
  const auto h = at::embedding(get("embedding.weight"), two_rows_of_three());  // [B, T, D]
  int64_t reads = 0;
  Recorder recorder;
  recorder.on_read = [&](const MemoryRead& read) {
    if (read.layer > 0 || read.loop > 1) {
      return;
    }
    ++reads;
    const auto* keys = read.global ? "memory.keys" : "layers.0.memory.keys";
    EXPECT_TRUE(read.query.allclose(norm(norm(h, "layers.0.memory.norm"), "memory.query_norm"),
                                    /*rtol=*/1e-4, /*atol=*/1e-5));
    EXPECT_TRUE(read.keys.allclose(norm(get(keys), "memory.key_norm"), 1e-4, 1e-5));
    EXPECT_TRUE(read.gate.allclose(at::full_like(h, 0.5)));  // W_g 0, b_g 0 at the start
  };
  (void)model.forward(two_rows_of_three(), {.recorder = &recorder});
  EXPECT_EQ(reads, 2);
}

/// A bank of more slots than a sequence has reads, and of fewer than two sequences have.
LanguageModel between_one_sequence_and_two() {
  auto config = config_of_two_layers();
  config.loop_scale_init = 0.0;
  config.local_memory_slots = 20;
  config.global_memory_slots = 14;
  config.memory_gate_bias_init = 3.0;
  LanguageModel model(config);
  model.parameters().initialize(/*seed=*/5);
  return model;
}

TEST(ProjectedValues, GiveTheLossAndTheGradientsOfProjectedReads) {
  EXPECT_TRUE(projects_values(20, 24));
  EXPECT_FALSE(projects_values(14, 12));
  EXPECT_FALSE(projects_values(0, 12));
  const auto tokens = at::tensor(std::vector<int64_t>{5, 1, 7, 8, 19, 0, 3, 3, 2, 11, 4, 9});
  const auto targets = at::tensor(std::vector<int64_t>{1, 7, 8, 19, 0, 6, 3, 2, 11, 4, 9, 17});
  // Two sequences at once read rows enough to project the values, each alone does not.
  const auto together = between_one_sequence_and_two();
  const auto alone = between_one_sequence_and_two();
  const ForwardOptions options{.compute_dtype = at::kDouble};
  const auto loss = together.loss(tokens.view({2, 6}), targets.view({2, 6}), options).total;
  loss.backward();
  double sum = 0.0;
  for (int64_t row = 0; row < 2; ++row) {
    const auto half = 0.5 * alone
                                .loss(tokens.narrow(0, 6 * row, 6).view({1, 6}),
                                      targets.narrow(0, 6 * row, 6).view({1, 6}), options)
                                .total;
    half.backward();
    sum += half.item<double>();
  }
  EXPECT_NEAR(loss.item<double>(), sum, 1e-10);
  const auto gradient_of = [](const at::Tensor& parameter) {
    const auto& gradient = parameter.grad();
    return gradient.is_sparse() ? gradient.to_dense() : gradient;
  };
  for (const auto& parameter : together.parameters().all()) {
    const auto expected = gradient_of(alone.parameters().get(parameter.name).value);
    EXPECT_TRUE(gradient_of(parameter.value).allclose(expected, /*rtol=*/1e-5, /*atol=*/1e-9))
        << parameter.name;
  }
}

}  // namespace
}  // namespace loopbank
