#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>

#include "loopbank/infer/engine.h"
#include "loopbank/model/language_model.h"
#include "loopbank/support/error.h"
#include "tests/infer/looping_model.h"

namespace loopbank {
namespace {

LanguageModel forcing_model() {
  ModelConfig config;
  config.vocab_size = testing::kLoopingVocabulary;
  config.hidden_size = 48;
  config.intermediate_size = 80;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.max_position_embeddings = 64;
  config.max_loops = 3;
  config.loop_scale_init = 0.5;
  LanguageModel model(config);
  model.parameters().initialize(3);
  return model;
}

std::vector<TokenId> forcing_text(int64_t size) {
  return testing::some_prompt(size, /*seed=*/5);
}

/// The text from `from` on, decoded by force behind what stands before it.
Request forced_request(const std::vector<TokenId>& text, int64_t from, const std::string& exit,
                       const std::string& policy) {
  Request request;
  request.prompt.assign(text.begin(), text.begin() + from);
  request.forced.assign(text.begin() + from, text.end());
  request.inference = {.exit = ExitChoice::parse(exit),
                       .policy = &key_value_policy(policy),
                       .policy_in_prompt = true};
  return request;
}

std::map<int64_t, double> scores_of(Engine& engine, Request request) {
  std::map<int64_t, double> scores;
  engine.add(std::move(request));
  while (!engine.idle()) {
    const auto output = engine.step();
    EXPECT_TRUE(output.generated.empty());
    for (const auto& scored : output.scored) {
      scores[scored.place] = scored.log_probability;
    }
  }
  return scores;
}

TEST(ForcedTokens, AreScoredAsTheSameTextReadAsAPrompt) {
  const auto model = forcing_model();
  const auto text = forcing_text(50);
  for (const std::string exit : {"all", "cdf:0.5", "budget:2,hard"}) {
    for (const std::string policy : {"full", "copy", "first"}) {
      SCOPED_TRACE(exit + " " + policy);
      Engine engine(model, {.share_beginnings = false});
      const auto forced = scores_of(engine, forced_request(text, 20, exit, policy));
      auto whole = forced_request(text, 50, exit, policy);
      whole.forced.clear();
      whole.max_tokens = 0;
      whole.score_from = 20;
      const auto read = scores_of(engine, whole);
      ASSERT_EQ(forced.size(), 30U);
      ASSERT_EQ(read.size(), 30U);
      for (const auto& [place, score] : read) {
        EXPECT_NEAR(forced.at(place), score, 1e-5) << place;
      }
    }
  }
}

TEST(ForcedTokens, LogitsAreHandedOutForEachScore) {
  const auto model = forcing_model();
  const auto text = forcing_text(30);
  auto request = forced_request(text, 10, "all", "full");
  request.score_from = 5;
  std::map<int64_t, double> seen;
  request.on_logits = [&](int64_t place, std::span<const float> logits) {
    ASSERT_EQ(logits.size(), 61U);
    double sum = 0.0;
    for (const auto logit : logits) {
      sum += std::exp(static_cast<double>(logit));
    }
    const auto id = static_cast<size_t>(text[static_cast<size_t>(place)]);
    seen[place] = static_cast<double>(logits[id]) - std::log(sum);
  };
  Engine engine(model, {});
  const auto scores = scores_of(engine, request);
  ASSERT_EQ(scores.size(), 25U);  // places 5 to 29
  ASSERT_EQ(seen.size(), scores.size());
  for (const auto& [place, score] : scores) {
    EXPECT_NEAR(seen.at(place), score, 1e-9) << place;
  }
  EXPECT_EQ(engine.counts().tokens, 29);  // the last one is not read
}

TEST(ForcedTokens, ThoseThatCannotRunAreRefused) {
  const auto model = forcing_model();
  Engine engine(model, {});
  const auto text = forcing_text(66);
  EXPECT_THROW(engine.add(forced_request(text, 20, "all", "full")), Error);  // 66 > 64 + 1
  auto request = forced_request(forcing_text(65), 20, "all", "full");
  EXPECT_EQ(scores_of(engine, request).size(), 45U);
  request.completions = 2;
  EXPECT_THROW(engine.add(request), Error);
  request.completions = 1;
  request.forced[3] = 61;
  EXPECT_THROW(engine.add(request), Error);
}

}  // namespace
}  // namespace loopbank
