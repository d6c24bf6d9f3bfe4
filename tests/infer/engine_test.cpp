#include "loopbank/infer/engine.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <tuple>

#include "tests/infer/looping_model.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::Answer;
using testing::answer_alone;
using testing::Answers;
using testing::looping_model;
using testing::request_of;
using testing::run_all;
using testing::some_prompt;
using testing::take;

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
      EXPECT_EQ(run_all(engine).at({id, 0}), alone) << chunk << " " << c10::toString(type);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Engine, Exits,
    ::testing::Combine(::testing::Values("all", "cdf:0.6", "cdf:0.6,hard", "change:0.6", "kl:0.05"),
                       ::testing::Values("full", "copy", "recompute", "last", "first", "mixture"),
                       ::testing::Bool()));

TEST(Engine, ACumulativeThresholdOfOneIsAllBitForBit) {
  const auto model = looping_model();
  for (const std::string hard : {"", ",hard"}) {
    auto request = request_of(some_prompt(30, 3), 10, "all" + hard);
    request.score_from = 1;
    const auto all = answer_alone(model, request);
    request.inference.exit = ExitChoice::parse("cdf:1" + hard);
    auto same = answer_alone(model, request);
    EXPECT_EQ(same.scores, all.scores);
    EXPECT_EQ(same.log_probabilities, all.log_probabilities);
    request.inference.exit = ExitChoice::parse("budget:3" + hard);
    EXPECT_EQ(answer_alone(model, request).scores, all.scores);
    request.inference.exit = ExitChoice::parse("cdf:0.5" + hard);
    EXPECT_NE(answer_alone(model, request).scores, all.scores);
  }
}

TEST(Engine, ALoopBudgetIsThatOfAFullPass) {
  const auto model = looping_model();
  const auto text = some_prompt(40, 9);
  const at::NoGradGuard no_grad;
  const auto ids = at::tensor(std::vector<int64_t>(text.begin(), text.end()), at::kLong);
  const auto logits = model.forward(ids.unsqueeze(0), {.max_loops = 2}).logits[0].log_softmax(1);
  auto request = request_of(text, 0, "budget:2");
  request.score_from = 1;
  const auto by_rule = answer_alone(model, request);
  request.inference.exit = ExitChoice();
  request.inference.max_loops = 2;
  const auto by_budget = answer_alone(model, request);
  EXPECT_EQ(by_rule.scores, by_budget.scores);
  for (size_t i = 1; i < text.size(); ++i) {
    EXPECT_NEAR(by_rule.scores[i - 1], logits[static_cast<int64_t>(i) - 1][text[i]].item<double>(),
                1e-5);
  }
}

TEST(Engine, CompletionsShareThePromptAndAreThoseOfSingleRequests) {
  const auto model = looping_model();
  for (const std::string policy : {"full", "last", "mixture"}) {
    auto request = request_of(some_prompt(21, 11), 15, "cdf:0.7", policy);
    request.sampling.temperature = 1.0;
    request.completions = 3;
    Engine together(model, {.batch_tokens = 9});
    together.poison_pages();
    const auto id = together.add(request);
    const auto answers = run_all(together);
    ASSERT_EQ(answers.size(), 3U);
    EXPECT_EQ(together.counts().tokens, 21 + 3 * 14);
    EXPECT_NE(answers.at({id, 0}).tokens, answers.at({id, 1}).tokens);
    request.completions = 1;
    EXPECT_EQ(answer_alone(model, request), answers.at({id, 0}));
  }
}

TEST(Engine, EqualBeginningsAreReadOnce) {
  const auto model = looping_model();
  const auto prompt = some_prompt(60, 13);
  for (const std::string policy : {"full", "copy"}) {
    Engine engine(model, {});
    engine.poison_pages();
    const auto request = request_of(prompt, 6, "cdf:0.7", policy);
    const auto first = engine.add(request);
    const auto answer = run_all(engine).at({first, 0});
    const auto read = engine.counts().tokens;
    const auto again = engine.add(request);
    EXPECT_EQ(run_all(engine).at({again, 0}), answer);
    EXPECT_EQ(engine.counts().shared_tokens, 48);  // whole pages before the prompt's last token
    EXPECT_EQ(engine.counts().tokens - read, 60 - 48 + 5);
    auto shorter = request;
    shorter.prompt.resize(30);
    shorter.prompt[29] = 60 - shorter.prompt[29];
    const auto part = engine.add(shorter);
    EXPECT_EQ(run_all(engine).at({part, 0}), answer_alone(model, shorter));
    EXPECT_EQ(engine.counts().shared_tokens, 48 + 29);      // the second page in part
    auto other = request_of(prompt, 6, "cdf:0.5", policy);  // other keys and values
    engine.add(other);
    (void)run_all(engine);
    EXPECT_EQ(engine.counts().shared_tokens, 48 + 29);
  }
}

TEST(Engine, RequestsThatComeAndGoGetTheAnswersThatTheyGetAlone) {
  const auto model = looping_model(3, 0);
  std::mt19937_64 random(17);
  const std::vector<std::string> exits = {"all",       "cdf:0.6",  "router:0.5",  "change:0.5",
                                          "accel:0.9", "budget:2", "cdf:0.8,hard"};
  const std::vector<std::string> policies = {"full", "copy",  "recompute",
                                             "last", "first", "mixture"};
  const auto pick = [&](const auto& from) { return from[random() % from.size()]; };
  Engine engine(model, {.cache_bytes = int64_t{3} << 20, .batch_tokens = 24});
  engine.poison_pages();
  std::map<RequestId, Request> asked;
  std::vector<RequestId> cancelled;
  Answers answers;
  const auto common = some_prompt(40, 18);
  for (int arrived = 0; arrived < 500 || !engine.idle();) {
    for (auto count = random() % 3; count > 0 && arrived < 500; --count, ++arrived) {
      std::vector<TokenId> prompt(common.begin(),
                                  common.begin() + static_cast<int64_t>(random() % 40));
      const auto own = some_prompt(1 + static_cast<int64_t>(random() % 20), random());
      prompt.insert(prompt.end(), own.begin(), own.end());
      auto request = request_of(prompt, static_cast<int64_t>(random() % 12), pick(exits),
                                pick(policies), random() % 2 == 0);
      request.sampling.temperature = random() % 2 == 0 ? 0.0 : 0.9;
      request.seed = random() % 100;
      if (random() % 3 == 0) {
        request.score_from = 1 + static_cast<int64_t>(random() % 10);
      }
      asked[engine.add(request)] = request;
    }
    take(engine.step(), answers);
    if (random() % 10 == 0 && !asked.empty()) {
      const auto victim = std::next(asked.begin(), static_cast<int64_t>(random() % asked.size()));
      if (engine.cancel(victim->first)) {
        cancelled.push_back(victim->first);
      }
    }
  }
  EXPECT_GT(cancelled.size(), 5U);
  size_t compared = 0;
  for (const auto& [id, request] : asked) {
    if (std::find(cancelled.begin(), cancelled.end(), id) != cancelled.end()) {
      continue;
    }
    ASSERT_TRUE(answers.contains({id, 0}));
    EXPECT_EQ(answers.at({id, 0}), answer_alone(model, request)) << id;
    ++compared;
  }
  EXPECT_GT(compared, 350U);
  EXPECT_LE(engine.store().peak_bytes(), engine.store().budget());
}

TEST(Engine, EndedRequestsLeaveNothingBehind) {
  const auto model = looping_model();
  Engine engine(model, {.share_beginnings = false});
  const auto id = engine.add(request_of(some_prompt(20, 1), 30, "cdf:0.7", "mixture"));
  engine.add(request_of(some_prompt(20, 2), 3));
  (void)engine.step();
  EXPECT_GT(engine.store().bytes_in_use(), 0);
  EXPECT_TRUE(engine.cancel(id));
  EXPECT_FALSE(engine.cancel(id));
  (void)run_all(engine);
  EXPECT_EQ(engine.store().bytes_in_use(), 0);
}

TEST(Engine, APromptIsReadForTheOthersWhereTheFirstCompletionIsCancelled) {
  const auto model = looping_model();
  Engine engine(model, {.batch_tokens = 8});
  auto request = request_of(some_prompt(20, 1), 3);
  request.completions = 2;
  request.score_from = 1;
  const auto id = engine.add(request);
  auto output = engine.step();
  EXPECT_TRUE(engine.cancel(id, 0));
  size_t scored = output.scored.size();
  std::vector<int64_t> completions;
  for (int64_t step = 0; step < 8 && !engine.idle(); ++step) {
    output = engine.step();
    scored += output.scored.size();
    for (const auto& token : output.generated) {
      completions.push_back(token.completion);
    }
  }
  EXPECT_TRUE(engine.idle());
  EXPECT_EQ(scored, 19U);
  EXPECT_EQ(completions, (std::vector<int64_t>{1, 1, 1}));
}

TEST(Engine, MistakesAreNamed) {
  const auto model = looping_model();
  Engine engine(model, {.cache_bytes = 60000});
  const auto refusal = [&](const Request& request) {
    return testing::error_of(ErrorCode::kConfig, [&] { (void)engine.add(request); });
  };
  EXPECT_EQ(refusal(request_of({}, 4)),
            "request: expected a prompt of at least one token, got none.");
  EXPECT_EQ(refusal(request_of({1, 61}, 4)),
            "request: expected ids from 0 to 60 (vocab_size 61), got 61 at place 1 of the prompt.");
  EXPECT_EQ(refusal(request_of(some_prompt(97, 1), 4)),
            "request: expected a prompt of at most 96 tokens (max_position_embeddings), got 97. "
            "Shorten the prompt.");
  EXPECT_EQ(refusal(request_of({1}, -1)), "request: expected max_tokens of 0 or more, got -1.");
  EXPECT_EQ(refusal(request_of({1}, 4, "budget:4")),
            "request: exit budget: \"max_loops\" expects a loop budget from 1 to 3, or 0 for each "
            "layer's own N, got 4.");
  EXPECT_EQ(refusal(request_of(some_prompt(90, 1), 4)),
            "request: expected at most 60000 bytes of keys and values (the engine's cache_bytes), "
            "got a request that may take 129024. Allow more, or shorten the prompt, max_tokens or "
            "the number of completions.");
}

}  // namespace
}  // namespace loopbank
