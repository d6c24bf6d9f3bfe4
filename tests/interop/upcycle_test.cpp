#include "loopbank/interop/upcycle.h"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

namespace loopbank {
namespace {

TEST(Upcycle, KeepsEveryParameterOfTheDenseModel) {
  ModelConfig config;
  config.vocab_size = 31;
  config.hidden_size = 16;
  config.intermediate_size = 24;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  LanguageModel dense(config);
  dense.parameters().initialize(3);
  const auto model = upcycled(dense, {.max_loops = 3, .local_slots = 4, .global_slots = 2});
  EXPECT_EQ(model.config().loop_scale_kind, "linear");
  for (const auto& parameter : dense.parameters().all()) {
    EXPECT_TRUE(model.parameters().get(parameter.name).value.equal(parameter.value))
        << parameter.name;
  }
}

}  // namespace
}  // namespace loopbank
