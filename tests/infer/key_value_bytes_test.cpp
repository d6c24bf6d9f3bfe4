#include <gtest/gtest.h>

#include <string>

#include "loopbank/infer/engine.h"
#include "loopbank/model/language_model.h"

namespace loopbank {
namespace {

/// What a request of sixteen tokens, one page, took of memory.
int64_t measured_bytes(const LanguageModel& model, const KeyValuePolicy& policy,
                       at::ScalarType dtype) {
  Engine engine(model, {.compute_dtype = dtype});
  Request request;
  request.prompt.assign(ops::kPageTokens - 1, 7);
  request.max_tokens = 2;
  request.inference.policy = &policy;
  request.inference.policy_in_prompt = true;
  engine.add(request);
  while (!engine.idle()) {
    (void)engine.step();
  }
  return engine.store().peak_bytes();
}

TEST(KeyValueBytes, TheFormulaGivesWhatPagesTake) {
  ModelConfig config;
  config.vocab_size = 61;
  config.hidden_size = 48;
  config.intermediate_size = 80;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.max_position_embeddings = 96;
  config.max_loops = {3, 0, 2};
  LanguageModel model(config);
  model.parameters().initialize(3);
  for (const auto* policy : key_value_policies()) {
    SCOPED_TRACE(std::string(policy->name()));
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const auto bytes = key_value_bytes(model.config(), *policy, dtype == at::kFloat ? 4 : 2);
      EXPECT_EQ(bytes * ops::kPageTokens, measured_bytes(model, *policy, dtype));
    }
  }
}

}  // namespace
}  // namespace loopbank
