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

LanguageModel two_layers() {
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
  LanguageModel model(config);
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

}  // namespace
}  // namespace loopbank
