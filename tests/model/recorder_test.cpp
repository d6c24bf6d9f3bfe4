/// What a recorder holds of the states between loops, against the states themselves.

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/embedding.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "loopbank/model/forward_options.h"
#include "loopbank/model/language_model.h"

namespace loopbank {
namespace {

constexpr double kTolerance = 1e-5;
constexpr int64_t kWidth = 16;

/// Two layers of these loops; 0: dense.
LanguageModel model_of(std::vector<int64_t> loops) {
  ModelConfig config;
  config.vocab_size = 50;
  config.hidden_size = kWidth;
  config.intermediate_size = 24;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.max_position_embeddings = 12;
  config.max_loops = loops;
  config.loop_scale_init = 0.0;
  config.local_memory_slots = loops[0] + loops[1] > 0 ? 4 : 0;
  LanguageModel model(config);
  model.parameters().initialize(/*seed=*/5);
  return model;
}

at::Tensor two_rows_of_six() {
  return (at::arange(12) * 7 % 50).view({2, 6});
}

at::Tensor lengths(const at::Tensor& h) {
  return h.pow(2).sum(-1).sqrt();  // [B, T]
}

/// States h^(0) to h^(N) of the first layer of a model, taken from models of that many loops that
/// always take the last: the second layer is off.
std::vector<at::Tensor> states_of_first_layer(int64_t num_loops) {
  const at::NoGradGuard no_grad;
  const auto model = model_of({num_loops, 0});
  const auto value = [&](const std::string& name) { return model.parameters().get(name).value; };
  value("layers.0.router.bias").fill_(-50.0);  // P_N = 1: y = h^(N)
  value("layers.1.block.attention.output.weight").zero_();
  value("layers.1.block.feed_forward.down.weight").zero_();
  std::vector<at::Tensor> states{at::embedding(value("embedding.weight"), two_rows_of_six())};
  for (int64_t budget = 1; budget <= num_loops; ++budget) {
    // The second layer's output is its input, which a recorder shows by its length; the state
    // itself stands behind the final norm, whose weight is 1: the two together give it back.
    Recorder recorder;
    const auto normed =
        model.hidden(two_rows_of_six(), {.max_loops = budget, .recorder = &recorder}).states;
    const auto mean_square = recorder.state_norm[1][0].pow(2).unsqueeze(-1);  // of h, over D
    states.push_back(normed * (mean_square + 1e-5).sqrt());
  }
  return states;
}

TEST(Recorder, NormsAndChangesAreThoseOfTheStatesBetweenLoops) {
  const int64_t num_loops = 3;
  const auto states = states_of_first_layer(num_loops);
  Recorder recorder;
  (void)model_of({num_loops, 0}).forward(two_rows_of_six(), {.recorder = &recorder});
  const auto& norms = recorder.state_norm[0];
  const auto& changes = recorder.state_change[0];
  ASSERT_EQ(norms.sizes(), (at::IntArrayRef{num_loops + 1, 2, 6}));
  ASSERT_EQ(changes.sizes(), (at::IntArrayRef{num_loops, 2, 6}));
  for (int64_t t = 0; t <= num_loops; ++t) {
    const auto& h = states[static_cast<size_t>(t)];
    EXPECT_TRUE(norms[t].allclose(lengths(h) / 4.0, 1e-4, kTolerance)) << t;  // sqrt 16
    if (t > 0) {
      const auto& before = states[static_cast<size_t>(t - 1)];
      EXPECT_TRUE(changes[t - 1].allclose(lengths(h - before) / lengths(before), 1e-3, kTolerance))
          << t;
      EXPECT_GT(changes[t - 1].min().item<float>(), 1e-3F) << t;  // the loops do something
    }
  }
}

TEST(Recorder, ADenseLayerIsOneLoop) {
  Recorder recorder;
  (void)model_of({0, 2}).forward(two_rows_of_six(), {.recorder = &recorder});
  EXPECT_EQ(recorder.state_norm[0].sizes(), (at::IntArrayRef{2, 2, 6}));
  EXPECT_EQ(recorder.state_change[0].sizes(), (at::IntArrayRef{1, 2, 6}));
  EXPECT_EQ(recorder.state_norm[1].sizes(), (at::IntArrayRef{3, 2, 6}));
  EXPECT_FALSE(recorder.halting[0].defined());
  EXPECT_FALSE(recorder.state_norm[0].requires_grad());
}

TEST(Recorder, ABudgetShortensWhatIsRecorded) {
  Recorder recorder;
  const auto model = model_of({3, 0});
  (void)model.forward(two_rows_of_six(), {.recorder = &recorder});
  const auto whole = recorder.state_norm[0];
  (void)model.forward(two_rows_of_six(), {.max_loops = 1, .recorder = &recorder});  // used again
  EXPECT_EQ(recorder.state_norm[0].size(0), 2);
  EXPECT_EQ(recorder.state_change[0].size(0), 1);
  EXPECT_TRUE(recorder.state_norm[0].allclose(whole.narrow(0, 0, 2)));
}

TEST(Recorder, APassWithOneComputesWhatOneWithoutDoes) {
  const auto model = model_of({3, 0});
  Recorder recorder;
  EXPECT_TRUE(model.forward(two_rows_of_six(), {.recorder = &recorder})
                  .logits.equal(model.forward(two_rows_of_six()).logits));
}

}  // namespace
}  // namespace loopbank
