#include "loopbank/model/recompute.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include "loopbank/model/language_model.h"

namespace loopbank {
namespace {

TEST(Recomputed, RunsTwiceAndGivesTheSameGradients) {
  const auto weight = at::full({2}, 3.0).requires_grad_(true);
  const auto x = at::full({2}, 2.0).requires_grad_(true);
  int calls = 0;
  const auto out = recomputed(
      [&](const std::vector<at::Tensor>& in) {
        ++calls;
        EXPECT_FALSE(in[1].defined());
        return std::vector<at::Tensor>{in[0] * in[0] * weight, in[0] + 1.0};
      },
      {x, at::Tensor()});
  EXPECT_EQ(calls, 1);
  out[0].sum().backward();  // nothing comes back through the second result
  EXPECT_EQ(calls, 2);
  EXPECT_TRUE(at::equal(x.grad(), at::full({2}, 12.0)));      // 2 x w
  EXPECT_TRUE(at::equal(weight.grad(), at::full({2}, 4.0)));  // x^2
}

ModelConfig small_model(int64_t loops, int64_t slots) {
  ModelConfig config;
  config.vocab_size = 31;
  config.hidden_size = 16;
  config.intermediate_size = 24;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.max_position_embeddings = 16;
  config.max_loops = loops;
  config.local_memory_slots = slots;
  config.global_memory_slots = slots;
  config.loop_scale_init = 0.0;
  config.ponder_weight = 0.1;
  return config;
}

TEST(Recompute, EveryChoiceGivesTheSameLossAndGradients) {
  const auto tokens = at::arange(24).view({2, 12}).remainder(31);
  const auto targets = at::arange(1, 25).view({2, 12}).remainder(31);
  for (const auto& config : {small_model(0, 0), small_model(3, 0), small_model(3, 5)}) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      std::vector<at::Tensor> expected;
      for (const auto choice : {Recompute::kNone, Recompute::kLoop, Recompute::kLayer}) {
        LanguageModel model(config);
        model.parameters().initialize(7);
        const auto loss =
            model.loss(tokens, targets, {.compute_dtype = dtype, .recompute = choice});
        loss.total.backward();
        std::vector<at::Tensor> found = {loss.total.detach()};
        for (const auto& parameter : model.parameters().all()) {
          if (parameter.name == "memory.key_norm.bias") {
            continue;  // its gradient is zero by its equation, and rounding in any program
          }
          ASSERT_TRUE(parameter.value.grad().defined()) << parameter.name;
          found.push_back(parameter.value.grad().to_dense());
        }
        if (expected.empty()) {
          expected = found;
        }
        for (size_t i = 0; i < found.size(); ++i) {
          // Sums over loops in another order.
          const double scale = expected[i].abs().max().item<double>() + 1e-6;
          const double off = (found[i] - expected[i]).abs().max().item<double>();
          EXPECT_LE(off / scale, dtype == at::kFloat ? 1e-5 : 2e-2)
              << "result " << i << " of the loss and the gradients";
        }
      }
    }
  }
}

}  // namespace
}  // namespace loopbank
