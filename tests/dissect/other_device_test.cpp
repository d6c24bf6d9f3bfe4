/// Looks inside a model on a device that is no CPU (tests/device/stand_in_device.h).

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "loopbank/dissect/probe.h"
#include "tests/device/stand_in_device.h"

namespace loopbank {
namespace {

ModelConfig looked_into() {
  ModelConfig config;
  config.vocab_size = 61;
  config.hidden_size = 16;
  config.intermediate_size = 24;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.max_position_embeddings = 12;
  config.max_loops = 3;
  config.local_memory_slots = 4;
  config.global_memory_slots = 2;
  return config;
}

TEST(ProbeOnAnotherDevice, GivesTheValuesOfTheCpu) {
  LanguageModel here(looked_into());
  LanguageModel there(looked_into(), testing::stand_in_device());
  here.parameters().initialize(9);
  there.parameters().initialize(9);
  const auto tokens = at::arange(20).view({2, 10});
  const ProbeOptions options{.gradients = true};
  const auto expected = probe(here, tokens, options);
  const auto named = probe(there, tokens, options);
  const std::map<std::string, at::Tensor> values(named.begin(), named.end());
  ASSERT_EQ(values.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    const auto off = (values.at(name) - tensor).abs().max().item<double>();
    EXPECT_LE(off, 1e-5 * std::max(1.0, tensor.abs().max().item<double>())) << name;
  }
}

}  // namespace
}  // namespace loopbank
