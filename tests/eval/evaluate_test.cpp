#include "loopbank/eval/evaluate.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>

#include "loopbank/model/cost.h"
#include "tests/eval/bigram_model.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::bigram_config;
using testing::bigram_model;
using testing::error_of;
using testing::expect_contains;
using testing::kByteVocabulary;

Instance instance(const std::string& context, const std::vector<std::string>& continuations,
                  int64_t label) {
  Instance made{.id = "i", .choices = {}, .label = label};
  for (const auto& continuation : continuations) {
    made.choices.push_back({.context = context, .continuation = continuation});
  }
  return made;
}

Task task(Metric metric, std::vector<Instance> instances) {
  return {.name = "own",
          .metric = metric,
          .bare_context = {},
          .shots = 0,
          .instances = std::move(instances)};
}

/// Logits 0 but for `strong` behind anything: ln p = bonus - ln Z for it, -ln Z for any other.
at::Tensor preferring(char strong, double bonus) {
  auto table = at::zeros({kByteVocabulary, kByteVocabulary});
  table[static_cast<int64_t>(strong)].fill_(bonus);
  return table;
}

TaskResult result_of(const at::Tensor& table, const Task& item) {
  return evaluate(bigram_model(table, bigram_config()), Tokenizer::bytes(), {item}).results.at(0);
}

double figure(const TaskResult& result, Metric metric) {
  for (const auto& item : result.metrics) {
    if (item.metric == metric) {
      return item.estimate.mean;
    }
  }
  ADD_FAILURE() << "no " << metric_name(metric);
  return NAN;
}

TEST(Evaluate, AUniformModelTakesTheShortestAndTiesGoFirst) {
  const auto uniform = at::zeros({kByteVocabulary, kByteVocabulary});
  const auto result = result_of(uniform, task(Metric::kAccRaw, {instance("c", {" ab", " a"}, 1),
                                                                instance("c", {" ab", " cd"}, 1),
                                                                instance("c", {" ab", " cd"}, 0)}));
  EXPECT_NEAR(result.value.mean, 2.0 / 3.0, 1e-12);
  EXPECT_NEAR(result.bpb.mean, std::log2(257.0), 1e-5);  // one byte a token
  EXPECT_NEAR(result.bpb.standard_error, 0.0, 1e-5);
  EXPECT_NEAR(result.value.standard_error, std::sqrt(2.0 / 9.0 / 2.0), 1e-12);
}

TEST(Evaluate, APreferredByteWinsAndItsProbabilityIsTheOneWorkedByHand) {
  const double z = 256.0 + std::exp(3.0);
  const auto result =
      result_of(preferring('x', 3.0), task(Metric::kAccRaw, {instance("c", {"ya", "xa"}, 1)}));
  EXPECT_EQ(result.value.mean, 1.0);
  // ln p("xa") = 3 - 2 ln z over two bytes.
  EXPECT_NEAR(result.bpb.mean, -(3.0 - 2.0 * std::log(z)) / std::log(2.0) / 2.0, 1e-5);
  EXPECT_NEAR(result.instances[0].choices[0].log_probability, -2.0 * std::log(z), 1e-4);
}

TEST(Evaluate, LengthDecidesOnlyWhereTheMetricSaysSo) {
  // "xxx" is likelier a byte, "a" likelier as a whole.
  const auto result =
      result_of(preferring('x', 3.0), task(Metric::kAccPerChar, {instance("c", {"a", "xxx"}, 1)}));
  EXPECT_EQ(figure(result, Metric::kAccRaw), 0.0);
  EXPECT_EQ(figure(result, Metric::kAccPerChar), 1.0);
  EXPECT_EQ(figure(result, Metric::kAccPerToken), 1.0);
  EXPECT_EQ(figure(result, Metric::kAccPerByte), 1.0);
  EXPECT_EQ(result.value.mean, 1.0);
}

TEST(Evaluate, TheUnconditionedTwinIsTakenOff) {
  // Behind ":" (the end of "Answer:") x is likely anyhow; behind "?" both x and y are.
  auto table = at::zeros({kByteVocabulary, kByteVocabulary});
  table['x'][':'] = 4.0;
  table['x']['?'] = 5.0;
  table['y']['?'] = 4.5;
  auto item = task(Metric::kAccUncond, {instance("c?", {"x", "y"}, 1)});
  item.bare_context = "Answer:";
  const auto result = result_of(table, item);
  EXPECT_EQ(figure(result, Metric::kAccRaw), 0.0);
  EXPECT_EQ(figure(result, Metric::kAccUncond), 1.0);
  const double z = 256.0 + std::exp(4.0);
  EXPECT_NEAR(result.instances[0].choices[0].unconditioned, 4.0 - std::log(z), 1e-4);
  EXPECT_NEAR(result.instances[0].choices[1].unconditioned, -std::log(z), 1e-4);
}

TEST(Evaluate, EachNormalisationPicksTheChoiceWorkedByHand) {
  // ln p of a byte is its bonus - ln Z, whatever stands before it: 3 for x, 4 and 5 for the two
  // bytes of an accented e (two tokens here), 0 for any other. Z = 254 + e^3 + e^4 + e^5.
  auto table = preferring('x', 3.0);
  table[0xC3].fill_(4.0);
  table[0xA9].fill_(5.0);
  const double z = std::log(254.0 + std::exp(3.0) + std::exp(4.0) + std::exp(5.0));  // 6.168
  const std::string accents = "\xC3\xA9\xC3\xA9";  // two characters, four bytes
  const auto result = result_of(
      table,
      task(Metric::kAccPerChar,
           {instance("c", {"y", "xxxx", accents}, 0), instance("c", {"y", "xxxx", accents}, 1),
            instance("c", {"y", "xxxx", accents}, 1), instance("c", {"y", "xxxx", accents}, 2)}));
  const auto& choices = result.instances[0].choices;
  EXPECT_NEAR(choices[0].log_probability, -z, 1e-4);                       // -6.168
  EXPECT_NEAR(choices[1].log_probability, 4 * (3.0 - z), 1e-4);            // -12.671
  EXPECT_NEAR(choices[2].log_probability, 2 * (4.0 + 5.0 - 2 * z), 1e-4);  // -6.671
  EXPECT_EQ(choices[2].characters, 2);
  EXPECT_EQ(choices[2].bytes, 4);
  EXPECT_EQ(choices[2].tokens, 4);
  // raw takes y; a character, x (-3.168) before the accents (-3.335); a byte, the accents (-1.668).
  EXPECT_EQ(figure(result, Metric::kAccRaw), 0.25);
  EXPECT_EQ(figure(result, Metric::kAccPerChar), 0.5);
  EXPECT_EQ(figure(result, Metric::kAccPerByte), 0.25);
  EXPECT_EQ(choose(Metric::kAccPerChar, choices), 1);
  EXPECT_EQ(choose(Metric::kAccPerByte, choices), 2);
  EXPECT_EQ(choose(Metric::kAccPerToken, choices), 2);
  EXPECT_NEAR(result.bpb.mean, (z + 2 * (z - 3.0) + (4 * z - 18.0) / 4) / std::log(2.0) / 4.0,
              1e-5);
}

TEST(Evaluate, AModelThatAlwaysPrefersOneChoiceScoresItsShareOfTheLabels) {
  // Continuations " a" to " d"; the model likes c.
  std::vector<Instance> instances;
  const std::vector<int64_t> labels = {2, 0, 2, 1, 3, 2, 0, 1, 1, 2};
  for (const auto label : labels) {
    instances.push_back(instance("c", {" a", " b", " c", " d"}, label));
  }
  const auto result = result_of(preferring('c', 2.0), task(Metric::kAccRaw, instances));
  for (const auto metric :
       {Metric::kAccRaw, Metric::kAccPerChar, Metric::kAccPerToken, Metric::kAccPerByte}) {
    EXPECT_EQ(figure(result, metric), 0.4);
  }
}

TEST(Evaluate, KnownBitsAreTheMeanOverQuestionsWhereAllHaveAPrior) {
  const double z = std::log2(256.0 + std::exp(3.0));
  auto known = instance("c", {"x", "y"}, 0);
  auto unknown = instance("c", {"x", "y"}, 1);
  known.prior_bits = 5.0;
  unknown.prior_bits = 6.0;
  const auto table = preferring('x', 3.0);
  const auto result = result_of(table, task(Metric::kAccRaw, {known, unknown}));
  ASSERT_TRUE(result.known_bits);
  const double of_known = 5.0 - (z - 3.0 * std::log2(std::exp(1.0)));
  EXPECT_NEAR(result.known_bits->mean, (of_known + 6.0 - z) / 2, 1e-5);
  unknown.prior_bits = 0.0;
  EXPECT_FALSE(result_of(table, task(Metric::kAccRaw, {known, unknown})).known_bits);
}

TEST(Evaluate, BitsPerByteIsTheMeanOverDocuments) {
  // One document of 1 byte, one of 8: the mean of their rates, not all bits over all bytes.
  const double z = std::log(256.0 + std::exp(3.0));
  const double of_x = (z - 3.0) / std::log(2.0);
  const double of_y = z / std::log(2.0);
  const auto result = result_of(
      preferring('x', 3.0),
      task(Metric::kBitsPerByte, {instance("c", {"x"}, 0), instance("c", {"yyyyyyyy"}, 0)}));
  EXPECT_NEAR(result.bpb.mean, (of_x + of_y) / 2, 1e-5);
  EXPECT_GT(std::abs(result.bpb.mean - (of_x + 8 * of_y) / 9), 0.1);
  EXPECT_NEAR(result.bpb.standard_error, (of_y - of_x) / 2, 1e-5);
}

TEST(Evaluate, SharedBeginningsChangeNoResult) {
  const auto model = testing::random_model(/*max_length=*/48);
  auto item = task(Metric::kAccUncond, {});
  item.bare_context = "Answer:";
  const std::string shots = "Question: one\nAnswer: two\n\n";
  for (int i = 0; i < 6; ++i) {
    // The last two contexts are too long and cut.
    const std::string query = "Question: " + std::string(static_cast<size_t>(i * i % 23), 'q');
    item.instances.push_back(instance(shots + query, {" yes", " yesterday", " no"}, i % 3));
  }
  EvalOptions apart;
  apart.share_prefixes = false;
  const auto together = evaluate(model, Tokenizer::bytes(), {item}).results.at(0);
  const auto alone = evaluate(model, Tokenizer::bytes(), {item}, apart).results.at(0);
  EXPECT_LT(together.cost.computed_tokens, alone.cost.computed_tokens / 2);
  EXPECT_GT(together.contexts_cut, 0);
  EXPECT_EQ(together.contexts_cut, alone.contexts_cut);
  EXPECT_EQ(together.requests_hash, alone.requests_hash);
  EXPECT_NEAR(together.bpb.mean, alone.bpb.mean, 1e-9);
  for (size_t i = 0; i < together.metrics.size(); ++i) {
    EXPECT_NEAR(together.metrics[i].estimate.mean, alone.metrics[i].estimate.mean, 1e-4);
  }
}

TEST(Evaluate, OneChoiceHasNoAccuracyButBitsAndGreedy) {
  const auto result =
      result_of(preferring('x', 3.0),
                task(Metric::kBitsPerByte, {instance("c", {"xx"}, 0), instance("c", {"ya"}, 0)}));
  EXPECT_EQ(result.metrics.size(), 2U);
  EXPECT_EQ(figure(result, Metric::kAccGreedy), 0.5);
  EXPECT_EQ(result.value.mean, result.bpb.mean);
}

TEST(Evaluate, EveryLoopBudgetHasItsRow) {
  const auto model = bigram_model(preferring('x', 3.0), bigram_config(64, /*loops=*/3));
  EvalOptions options;
  options.max_loops = {1, 3};
  const std::vector<Task> tasks = {task(Metric::kAccRaw, {instance("c", {"x", "y"}, 0)})};
  const auto report = evaluate(model, Tokenizer::bytes(), tasks, options);
  ASSERT_EQ(report.results.size(), 2U);
  EXPECT_EQ(report.results[0].max_loops, 1);
  EXPECT_NEAR(report.results[0].mean_loops, 1.0, 1e-6);
  EXPECT_EQ(report.results[1].max_loops, 3);
  EXPECT_NEAR(report.results[1].mean_loops, 1.75, 1e-5);
  for (const auto& result : report.results) {
    EXPECT_EQ(result.flops_per_token, forward_flops(model.config(), 64, result.max_loops));
    EXPECT_EQ(result.expected_flops_per_token,
              expected_forward_flops(model.config(), 64, result.mean_loops));
    EXPECT_EQ(result.cost.tokens, 2);           // "c" of both choices
    EXPECT_EQ(result.cost.computed_tokens, 2);  // each asks what stands behind it
    EXPECT_EQ(result.cost.head_rows, 2);
    EXPECT_GT(result.cost.seconds, 0.0);
  }
  EXPECT_EQ(evaluate(model, Tokenizer::bytes(), tasks).results.at(0).max_loops, 3);
  options.max_loops = {0};
  EXPECT_EQ(evaluate(model, Tokenizer::bytes(), tasks, options).results.at(0).max_loops, 3);
}

TEST(Evaluate, ASuiteIsThePlainMeanOverItsTasks) {
  const auto model = bigram_model(preferring('x', 3.0), bigram_config());
  std::vector<Task> tasks;
  for (const auto& name : suites()[0].tasks) {
    // Tasks of different size weigh the same.
    auto item = task(Metric::kAccRaw, {instance("c", {"x", "y"}, name == "piqa" ? 1 : 0)});
    item.instances.resize(name == "piqa" ? 5 : 1, item.instances[0]);
    item.name = name;
    tasks.push_back(item);
  }
  const auto report = evaluate(model, Tokenizer::bytes(), tasks);
  ASSERT_EQ(report.suites.size(), 1U);
  EXPECT_EQ(report.suites[0].suite, "commonsense");
  EXPECT_NEAR(report.suites[0].value, 5.0 / 6.0, 1e-12);
  double bpb = 0.0;
  for (const auto& result : report.results) {
    bpb += result.bpb.mean / 6.0;
  }
  EXPECT_NEAR(report.suites[0].bpb, bpb, 1e-12);
  EXPECT_EQ(report.suites[0].tasks, suites()[0].tasks);
  EXPECT_EQ(report.suites[0].flops_per_token, report.results[0].flops_per_token);
  EXPECT_EQ(report.suites[0].cost.tokens, 2 * (5 + 5));
  // One figure a loop budget, each over its own results.
  const auto looped = bigram_model(preferring('x', 3.0), bigram_config(64, /*loops=*/3));
  EvalOptions options;
  options.max_loops = {1, 2};
  const auto budgets = evaluate(looped, Tokenizer::bytes(), tasks, options).suites;
  ASSERT_EQ(budgets.size(), 2U);
  EXPECT_NEAR(budgets[0].mean_loops, 1.0, 1e-5);
  EXPECT_EQ(budgets[1].max_loops, 2);
  EXPECT_NEAR(budgets[1].mean_loops, 1.5, 1e-5);
  EXPECT_NEAR(budgets[1].value, 5.0 / 6.0, 1e-12);
  tasks.pop_back();
  EXPECT_TRUE(evaluate(model, Tokenizer::bytes(), tasks).suites.empty());
}

TEST(Evaluate, WhatDoesNotFitIsCounted) {
  const auto model = bigram_model(preferring('x', 3.0), bigram_config(/*max_length=*/8));
  const auto report =
      evaluate(model, Tokenizer::bytes(),
               {task(Metric::kAccRaw,
                     {instance("a context of many tokens", {"x", "y"}, 0),
                      instance("c", {"x", "y"}, 0), instance("c", {"x", "yyyyyyyyyyyy"}, 0)})});
  EXPECT_EQ(report.results[0].contexts_cut, 2);
  EXPECT_EQ(report.results[0].split_continuations, 1);
}

TEST(Evaluate, MistakesAreNamed) {
  const auto model = bigram_model(preferring('x', 3.0), bigram_config(64, /*loops=*/3));
  const auto tokenizer = Tokenizer::bytes();
  const auto refusal = [&](ErrorCode code, const Task& item, const EvalOptions& options = {}) {
    return error_of(code, [&] { (void)evaluate(model, tokenizer, {item}, options); });
  };
  const auto good = task(Metric::kAccRaw, {instance("c", {"x", "y"}, 0)});
  EvalOptions options;
  options.max_loops = {4};
  expect_contains(refusal(ErrorCode::kConfig, good, options),
                  "evaluate: \"max_loops\" expects a loop budget from 1 to 3, or 0 for each "
                  "layer's own N, got 4.");
  options.max_loops.clear();
  options.batch_tokens = 0;
  expect_contains(refusal(ErrorCode::kConfig, good, options),
                  "expected batch_tokens of 1 or more, got 0");
  expect_contains(refusal(ErrorCode::kData, task(Metric::kAccRaw, {})),
                  "expected at least one instance of own, got none");
  expect_contains(refusal(ErrorCode::kData, task(Metric::kAccRaw, {instance("c", {"x"}, 1)})),
                  "instance 0 of own: expected a label of 1 choices, got 1");
  auto config = bigram_config();
  config.vocab_size = 200;
  const LanguageModel small(config);
  expect_contains(error_of(ErrorCode::kConfig, [&] { (void)evaluate(small, tokenizer, {good}); }),
                  "expected a tokenizer of at most 200 ids (the model's vocab_size), got 257");
}

}  // namespace
}  // namespace loopbank
