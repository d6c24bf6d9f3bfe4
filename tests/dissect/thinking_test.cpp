#include "loopbank/dissect/thinking.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/support/random.h"
#include "tests/eval/bigram_model.h"
#include "tests/support/test_directory.h"
#include "tests/tokenize/small_tokenizer.h"

namespace loopbank {
namespace {

using testing::bigram_config;
using testing::bigram_log_probability;
using testing::bigram_model;
using testing::error_of;
using testing::expect_contains;
using testing::kByteVocabulary;
using testing::random_table;
using testing::TestDirectory;

constexpr int64_t kLoops = 3;
/// Stopping after each loop but the last with probability p, a token takes 1 + (1-p) + (1-p)^2 loops.
double loops_at(double logit) {
  const double going_on = 1.0 / (1.0 + std::exp(logit));
  return 1.0 + going_on + going_on * going_on;
}

/// Logits of stopping after a token, in the second layer: loops by hand. The first layer stops by
/// chance, 1.75 loops everywhere.
LanguageModel model_with_logits(const std::map<char, double>& logits, const at::Tensor& table,
                                int64_t max_length = 64) {
  auto model = bigram_model(table, bigram_config(max_length, kLoops));
  const at::NoGradGuard no_grad;
  auto router = model.parameters().get("layers.1.router.weight").value;  // [1, D + 1]
  for (const auto& [byte, logit] : logits) {
    router[0][static_cast<int64_t>(static_cast<unsigned char>(byte))].fill_(logit);
  }
  return model;
}

Instance question(const std::string& context, const std::vector<std::string>& choices,
                  int64_t label, std::vector<int64_t> steps) {
  Instance instance{.id = context, .choices = {}, .label = label, .steps = std::move(steps)};
  for (const auto& choice : choices) {
    instance.choices.push_back({.context = context, .continuation = " " + choice});
  }
  return instance;
}

Task task_of(std::vector<Instance> instances) {
  return {.name = "made", .bare_context = {}, .instances = std::move(instances)};
}

TEST(MeasureAnswerTokens, LoopsAreThoseWhereATokenIsPredicted) {
  const auto table = random_table();
  const auto model = model_with_logits({{' ', 2.0}, {'a', -1.0}, {'b', 0.5}, {'c', 9.0}}, table);
  const auto tokens = measure_answer_tokens(
      model, Tokenizer::bytes(), task_of({question("x =", {"zz", "abc"}, 1, {3, 1, 2})}));
  ASSERT_EQ(tokens.size(), 3U);  // without the space, which has no step
  const std::string before = " ab";
  const std::vector<double> logits = {2.0, -1.0, 0.5};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(tokens[i].question, 0);
    EXPECT_EQ(tokens[i].place, static_cast<int64_t>(i));
    EXPECT_EQ(tokens[i].before, static_cast<int64_t>(4 + i));
    EXPECT_EQ(tokens[i].steps, (std::vector<int64_t>{3, 1, 2})[i]);
    ASSERT_EQ(tokens[i].loops.size(), 2U);
    EXPECT_NEAR(tokens[i].loops[0], 1.75, 1e-5);
    EXPECT_NEAR(tokens[i].loops[1], loops_at(logits[i]), 1e-5) << before[i];
    EXPECT_NEAR(tokens[i].loss,
                -bigram_log_probability(table, before[i], std::string("abc").substr(i, 1)), 1e-3);
  }
}

TEST(MeasureAnswerTokens, ATokenOfSeveralBytesHasTheMostOfTheirSteps) {
  const TestDirectory directory;
  const auto path = directory.write(
      "tokenizer.json", testing::small_tokenizer({{" ", "a"}, {" a", "b"}, {"c", "d"}}).dump());
  const auto tokenizer = Tokenizer::load(path);
  auto config = bigram_config(64, kLoops);
  config.vocab_size = tokenizer.vocab_size();
  config.hidden_size = 262;
  LanguageModel model(config);
  model.parameters().initialize(1);
  const auto tokens = measure_answer_tokens(model, tokenizer,
                                            task_of({question("x =", {"abcdc"}, 0, {1, 7, 4, 2, 5}),
                                                     question("x =", {"cd"}, 0, {3, 6})}));
  // " ab" "cd" "c"; " " "cd"
  ASSERT_EQ(tokens.size(), 4U);
  EXPECT_EQ(tokens[0].steps, 7);
  EXPECT_EQ(tokens[1].steps, 4);
  EXPECT_EQ(tokens[2].steps, 5);
  EXPECT_EQ(tokens[3].steps, 6);
  EXPECT_EQ(tokens[0].before, 3);
  EXPECT_EQ(tokens[3].before, 4);
  EXPECT_EQ(tokens[3].question, 1);
  EXPECT_EQ(tokens[3].place, 0);
}

TEST(MeasureAnswerTokens, BatchesAndLengthsChangeNothing) {
  const auto model = testing::random_model();
  const auto tokenizer = Tokenizer::bytes();
  std::vector<Instance> questions;
  for (int64_t i = 0; i < 9; ++i) {
    const std::string answer(static_cast<size_t>(1 + i % 4), static_cast<char>('a' + i));
    questions.push_back(question(std::string(static_cast<size_t>(3 + (5 * i) % 11), 'q') + " =",
                                 {answer}, 0, std::vector<int64_t>(answer.size(), i + 1)));
  }
  const auto together = measure_answer_tokens(model, tokenizer, task_of(questions));
  const auto alone =
      measure_answer_tokens(model, tokenizer, task_of(questions), {.batch_tokens = 1});
  ASSERT_EQ(together.size(), alone.size());
  double most = 0.0;
  double least = 9.0;
  for (size_t i = 0; i < together.size(); ++i) {
    EXPECT_EQ(together[i].question, alone[i].question);
    EXPECT_EQ(together[i].steps, alone[i].steps);
    EXPECT_NEAR(together[i].loss, alone[i].loss, 1e-4);
    for (size_t l = 0; l < 2; ++l) {
      EXPECT_NEAR(together[i].loops[l], alone[i].loops[l], 1e-5);
      most = std::max(most, alone[i].loops[l]);
      least = std::min(least, alone[i].loops[l]);
    }
  }
  EXPECT_GT(most - least, 0.05) << "loops that are all alike show nothing";
}

TEST(MeasureAnswerTokens, AnAnswerLongerThanTheModelReadsIsCutAsScoringCutsIt) {
  const auto model = model_with_logits({{'a', -1.0}}, random_table(), /*max_length=*/8);
  const std::string answer = "abababababababab";
  std::vector<int64_t> steps;
  for (size_t i = 0; i < answer.size(); ++i) {
    steps.push_back(static_cast<int64_t>(i) + 1);
  }
  const auto tokens = measure_answer_tokens(model, Tokenizer::bytes(),
                                            task_of({question("x =", {answer}, 0, steps)}));
  ASSERT_EQ(tokens.size(), answer.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    EXPECT_EQ(tokens[i].steps, steps[i]);
    EXPECT_EQ(tokens[i].place, static_cast<int64_t>(i));
    EXPECT_NEAR(tokens[i].loops[1], loops_at(i % 2 == 1 ? -1.0 : 0.0), 1e-5);
  }
}

TEST(MeasureAnswerTokens, RefusesWhatHasNoLoopsOrNoSteps) {
  const auto task = task_of({question("x =", {"a"}, 0, {1})});
  const auto tokenizer = Tokenizer::bytes();
  const auto dense = bigram_model(random_table(), bigram_config(64, /*loops=*/0));
  expect_contains(
      error_of(ErrorCode::kConfig, [&] { (void)measure_answer_tokens(dense, tokenizer, task); }),
      "thinking: expected a model with a layer of two loops or more, got a dense one.");
  const auto once = bigram_model(random_table(), bigram_config(64, /*loops=*/1));
  expect_contains(
      error_of(ErrorCode::kConfig, [&] { (void)measure_answer_tokens(once, tokenizer, task); }),
      "got one loop in every layer.");
  const auto looped = bigram_model(random_table(), bigram_config(64, kLoops));
  const auto without = task_of({question("x =", {"a"}, 0, {})});
  EXPECT_FALSE(has_known_steps(without));
  EXPECT_TRUE(has_known_steps(task));
  expect_contains(
      error_of(ErrorCode::kData, [&] { (void)measure_answer_tokens(looped, tokenizer, without); }),
      "made: expected questions that tell the \"steps\" behind their answers, got 1");
  const auto longer = task_of({question("x =", {"a"}, 0, {1, 2, 3})});
  expect_contains(
      error_of(ErrorCode::kData, [&] { (void)measure_answer_tokens(looped, tokenizer, longer); }),
      "expected tokens that spell the 3 bytes with steps at the end of \" a\"");
}

TEST(MeasureAnswerTokens, WeightsThatAreNotFiniteAreRefused) {
  auto table = random_table();
  table.fill_(std::numeric_limits<float>::quiet_NaN());
  const auto model = bigram_model(table, bigram_config(64, kLoops));
  expect_contains(error_of(ErrorCode::kCheckpoint,
                           [&] {
                             (void)measure_answer_tokens(model, Tokenizer::bytes(),
                                                         task_of({question("x =", {"a"}, 0, {1})}));
                           }),
                  "thinking: expected finite losses, got");
}

/// A question whose loops follow its steps, up to where the layer's N ends.
std::vector<AnswerToken> tokens_with(const std::vector<std::vector<double>>& loops,
                                     const std::vector<int64_t>& steps) {
  std::vector<AnswerToken> tokens;
  for (size_t i = 0; i < steps.size(); ++i) {
    tokens.push_back({.question = static_cast<int64_t>(i),
                      .place = 0,
                      .before = 5,
                      .steps = steps[i],
                      .loss = 1.0,
                      .loops = loops[i]});
  }
  return tokens;
}

TEST(LoopsAgainstSteps, RhoIsExactForLoopsMadeByHand) {
  std::vector<std::vector<double>> loops;
  std::vector<int64_t> steps;
  for (int64_t i = 0; i < 40; ++i) {
    steps.push_back(1 + i % 4);
    const auto k = static_cast<double>(steps.back());
    loops.push_back({1.0 + 0.1 * k, 3.0 - 0.05 * k, 2.0});
  }
  const auto found = loops_against_steps("made", tokens_with(loops, steps));
  EXPECT_EQ(found.task, "made");
  EXPECT_EQ(found.tokens, 40);
  EXPECT_EQ(found.questions, 40);
  EXPECT_DOUBLE_EQ(found.correlation.rho, 1.0);
  EXPECT_DOUBLE_EQ(found.correlation.low, 1.0);
  EXPECT_TRUE(found.correlation.has_interval);
  ASSERT_EQ(found.by_layer.size(), 3U);
  EXPECT_DOUBLE_EQ(found.by_layer[0].rho, 1.0);
  EXPECT_DOUBLE_EQ(found.by_layer[1].rho, -1.0);
  EXPECT_EQ(found.by_layer[2].rho, 0.0);
  EXPECT_FALSE(found.by_layer[2].has_interval);
  ASSERT_EQ(found.by_steps.size(), 4U);
  EXPECT_EQ(found.by_steps[3].steps, 4);
  EXPECT_EQ(found.by_steps[3].tokens, 10);
  EXPECT_NEAR(found.by_steps[3].loops_by_layer[0], 1.4, 1e-12);
  EXPECT_NEAR(found.by_steps[3].loops, (1.4 + 2.8 + 2.0) / 3, 1e-12);
}

TEST(LoopsAgainstSteps, DifferencesOfRoundingAreNoThinking) {
  std::vector<std::vector<double>> loops;
  std::vector<int64_t> steps;
  for (int64_t i = 0; i < 40; ++i) {
    steps.push_back(1 + i % 4);
    loops.push_back({2.99951 - 1e-5 * static_cast<double>(steps.back())});
  }
  const auto found = loops_against_steps("made", tokens_with(loops, steps));
  EXPECT_EQ(found.correlation.rho, 0.0);
  EXPECT_FALSE(found.correlation.has_interval);
}

TEST(LoopsAgainstSteps, EqualStepsHaveNoCorrelation) {
  std::vector<std::vector<double>> loops;
  for (int64_t i = 0; i < 20; ++i) {
    loops.push_back({1.0 + 0.05 * static_cast<double>(i)});
  }
  const auto found = loops_against_steps("made", tokens_with(loops, std::vector<int64_t>(20, 2)));
  EXPECT_EQ(found.correlation.rho, 0.0);
  EXPECT_FALSE(found.correlation.has_interval);
  EXPECT_FALSE(found.given_loss.has_interval);
  ASSERT_EQ(found.by_steps.size(), 1U);
}

/// Answers of four tokens whose loops follow the place alone, or the loss alone; steps rise with both,
/// and no more than they do.
TEST(LoopsAgainstSteps, WhatTheLoopsReallyFollowExplainsTheRest) {
  RandomStream random(8);
  std::vector<AnswerToken> by_place;
  std::vector<AnswerToken> by_loss;
  for (int64_t q = 0; q < 100; ++q) {
    for (int64_t place = 0; place < 4; ++place) {
      const auto k = static_cast<double>(place);
      AnswerToken token{.question = q,
                        .place = place,
                        .before = 10 + place,
                        .steps = 1 + place + random.between(0, 3),
                        .loss = random.uniform(),
                        .loops = {1.0 + 0.2 * k + 0.3 * random.uniform()}};
      by_place.push_back(token);
      token.loss = static_cast<double>(token.steps) + 3.0 * random.uniform();
      token.loops = {1.0 + 0.05 * token.loss + 0.05 * random.uniform()};
      by_loss.push_back(token);
    }
  }
  const auto place = loops_against_steps("made", by_place);
  EXPECT_GT(place.correlation.low, 0.5);
  EXPECT_LT(std::abs(place.given_place.rho), 0.15);
  EXPECT_GT(place.given_loss.low, 0.5) << "the loss says nothing here";
  const auto loss = loops_against_steps("made", by_loss);
  EXPECT_GT(loss.correlation.low, 0.5);
  EXPECT_GT(loss.given_place.low, 0.3) << "nor the place here";
  EXPECT_LT(std::abs(loss.given_loss.rho), 0.2);
}

TEST(LoopsAgainstSteps, JsonCarriesTheKeysOfTheDocs) {
  const auto json =
      to_json(loops_against_steps("made", tokens_with({{1.0, 2.0}, {1.5, 2.5}}, {1, 2})));
  EXPECT_EQ(json["task"], "made");
  EXPECT_EQ(json["by_steps"][1]["loops_by_layer"], (std::vector<double>{1.5, 2.5}));
  EXPECT_EQ(json["correlation"]["rho"], 1.0);
  EXPECT_EQ(json["correlation"]["has_interval"], false) << "of two questions";
  EXPECT_EQ(json["by_layer"].size(), 2U);
}

}  // namespace
}  // namespace loopbank
