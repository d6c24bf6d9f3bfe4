#include "loopbank/infer/engine.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <tuple>

#include "loopbank/model/language_model.h"

namespace loopbank {
namespace {

/// Small, of three loops and two banks, with weights large enough that loops and exits differ.
LanguageModel looping_model(int64_t loops = 3, int64_t slots = 5) {
  ModelConfig config;
  config.vocab_size = 61;
  config.hidden_size = 48;
  config.intermediate_size = 80;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.max_position_embeddings = 96;
  config.max_loops = loops;
  config.local_memory_slots = slots;
  config.global_memory_slots = slots;
  LanguageModel model(config);
  model.parameters().initialize(3);
  const at::NoGradGuard no_grad;
  auto generator = at::detail::createCPUGenerator(4);
  for (const auto& parameter : model.parameters().all()) {
    const auto& value = parameter.value;
    if (parameter.name.find("loop_scale") != std::string::npos) {
      value.fill_(0.5);
    } else {
      value.add_(at::randn(value.sizes(), generator) * 0.15);
    }
  }
  return model;
}

std::vector<TokenId> some_prompt(int64_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<TokenId> prompt;
  for (int64_t i = 0; i < size; ++i) {
    prompt.push_back(static_cast<TokenId>(random() % 61));
  }
  return prompt;
}

/// What a request was given.
struct Answer {
  std::vector<TokenId> tokens;
  std::vector<double> log_probabilities;
  std::vector<double> scores;
  std::vector<double> loops;
  double mean_loops = 0.0;
  std::string reason;
  bool operator==(const Answer&) const = default;
};

using Answers = std::map<std::pair<RequestId, int64_t>, Answer>;

void take(const StepOutput& output, Answers& answers) {
  for (const auto& token : output.generated) {
    auto& answer = answers[{token.request, token.completion}];
    answer.tokens.push_back(token.draw.token);
    answer.log_probabilities.push_back(token.draw.log_probability);
    answer.loops.push_back(token.loops);
  }
  for (const auto& scored : output.scored) {
    answers[{scored.request, 0}].scores.push_back(scored.log_probability);
  }
  for (const auto& finished : output.finished) {
    auto& answer = answers[{finished.request, finished.completion}];
    answer.mean_loops = finished.mean_loops;
    answer.reason = stop_reason_name(finished.reason);
  }
}

Answers run_all(Engine& engine) {
  Answers answers;
  while (!engine.idle()) {
    take(engine.step(), answers);
  }
  return answers;
}

Request request_of(std::vector<TokenId> prompt, int64_t max_tokens, const std::string& exit = "all",
                   const std::string& policy = "full", bool in_prompt = false) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.sampling.temperature = 0.0;
  request.inference = {.exit = ExitChoice::parse(exit),
                       .policy = &key_value_policy(policy),
                       .policy_in_prompt = in_prompt};
  return request;
}

Answer answer_alone(const LanguageModel& model, const Request& request, EngineOptions options = {}) {
  Engine engine(model, options);
  engine.poison_pages();
  const auto id = engine.add(request);
  return run_all(engine).at({id, 0});
}

/// ln p of each token of a text by one training pass over all of it.
std::vector<double> plain_scores(const LanguageModel& model, const std::vector<TokenId>& text) {
  const at::NoGradGuard no_grad;
  const auto ids = at::tensor(std::vector<int64_t>(text.begin(), text.end()), at::kLong);
  const auto logits = model.forward(ids.unsqueeze(0)).logits[0].log_softmax(1);
  std::vector<double> scores;
  for (size_t i = 1; i < text.size(); ++i) {
    scores.push_back(logits[static_cast<int64_t>(i) - 1][text[i]].item<double>());
  }
  return scores;
}

TEST(Engine, ScoresAreThoseOfOnePassInChunksOfAnySize) {
  const auto model = looping_model();
  const auto text = some_prompt(70, 1);
  const auto expected = plain_scores(model, text);
  for (const int64_t chunk : {1, 7, 16, 70, 512}) {
    auto request = request_of(text, 0);
    request.score_from = 1;
    const auto answer = answer_alone(model, request, {.batch_tokens = chunk});
    ASSERT_EQ(answer.scores.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(answer.scores[i], expected[i], 1e-5) << chunk << " " << i;
    }
  }
}

TEST(Engine, GreedyTokensAreThoseOfFullPasses) {
  const auto model = looping_model();
  const auto answer = answer_alone(model, request_of(some_prompt(5, 2), 40));
  auto text = some_prompt(5, 2);
  text.insert(text.end(), answer.tokens.begin(), answer.tokens.end());
  const at::NoGradGuard no_grad;
  const auto ids = at::tensor(std::vector<int64_t>(text.begin(), text.end()), at::kLong);
  const auto best = model.forward(ids.unsqueeze(0)).logits[0].argmax(1);
  for (size_t i = 0; i < answer.tokens.size(); ++i) {
    EXPECT_EQ(best[static_cast<int64_t>(i) + 4].item<int64_t>(), answer.tokens[i]);
  }
  EXPECT_EQ(answer.tokens.size(), 40U);
  EXPECT_EQ(answer.reason, "max_tokens");
}

class Exits : public ::testing::TestWithParam<std::tuple<std::string, std::string, bool>> {
 protected:
  [[nodiscard]] Request request(std::vector<TokenId> prompt, int64_t max_tokens) const {
    const auto& [exit, policy, in_prompt] = GetParam();
    return request_of(std::move(prompt), max_tokens, exit, policy, in_prompt);
  }
};

TEST_P(Exits, AnAnswerDependsNeitherOnNeighboursNorOnChunks) {
  const auto model = looping_model();
  auto wanted = request(some_prompt(37, 5), 12);
  wanted.score_from = 1;
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const auto alone = answer_alone(model, wanted, {.compute_dtype = type});
    EXPECT_EQ(alone.tokens.size(), 12U);
    EXPECT_EQ(alone.scores.size(), 36U);
    for (const auto value : alone.log_probabilities) {
      EXPECT_TRUE(std::isfinite(value));  // nothing that was not written was read
    }
    for (const int64_t chunk : {1, 5, 16, 64}) {
      Engine engine(model, {.compute_dtype = type, .batch_tokens = chunk});
      engine.poison_pages();
      engine.add(request_of(some_prompt(20, 6), 30, "cdf:0.7"));
      engine.add(request_of(some_prompt(9, 7), 5));
      const auto id = engine.add(wanted);
      engine.add(request_of(some_prompt(3, 8), 20, "router:0.5", "last"));
      const auto among = run_all(engine).at({id, 0});
      const double tol = type == at::kFloat ? 1e-4 : 0.1;
      for (size_t i = 0; i < among.scores.size(); ++i) EXPECT_NEAR(among.scores[i], alone.scores[i], tol) << i << " " << chunk;
      if (type == at::kFloat) { EXPECT_EQ(among.tokens, alone.tokens);
      for (size_t i = 0; i < among.tokens.size(); ++i) EXPECT_NEAR(among.log_probabilities[i], alone.log_probabilities[i], tol) << i;
      EXPECT_NEAR(among.mean_loops, alone.mean_loops, 1e-4); }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Engine, Exits,
    ::testing::Combine(::testing::Values("all", "cdf:0.6", "cdf:0.6,hard", "change:0.6"),
                       ::testing::Values("full", "copy", "recompute", "last", "first", "mixture"),
                       ::testing::Bool()));

}  // namespace
}  // namespace loopbank
