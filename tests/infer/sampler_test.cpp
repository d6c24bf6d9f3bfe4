#include "loopbank/infer/sampler.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

#include "loopbank/infer/candidates.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;

/// Of a probability; the vector exp and another order of sums stay far below.
constexpr double kProbabilityTolerance = 1e-12;

std::vector<float> random_row(RandomStream& random, size_t size, double spread, bool has_ties) {
  std::vector<float> row(size);
  for (auto& logit : row) {
    const double value = (random.uniform() + random.uniform() - 1.0) * spread;
    logit = static_cast<float>(has_ties ? std::round(value) : value);
  }
  return row;
}

/// Steps 1 to 4 of sampler.h, token by token.
std::vector<double> changed_by_definition(const std::vector<float>& row,
                                          const SamplingOptions& options,
                                          const std::vector<TokenId>& prompt,
                                          const std::vector<TokenId>& text) {
  std::vector<double> z(row.begin(), row.end());
  for (size_t i = 0; i < z.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const auto bias = options.logit_bias.find(id);
    z[i] += bias == options.logit_bias.end() ? 0.0 : bias->second;
    const auto in_prompt = std::count(prompt.begin(), prompt.end(), id);
    const auto in_text = std::count(text.begin(), text.end(), id);
    if (in_prompt + in_text > 0) {
      z[i] = z[i] > 0 ? z[i] / options.repetition_penalty : z[i] * options.repetition_penalty;
    }
    z[i] -= options.frequency_penalty * static_cast<double>(in_text);
    z[i] -= in_text > 0 ? options.presence_penalty : 0.0;
  }
  return z;
}

/// All eight steps: softmax, a full sort, and what each limit cuts off.
std::vector<double> by_definition(const std::vector<float>& row, const SamplingOptions& options,
                                  const std::vector<TokenId>& prompt = {},
                                  const std::vector<TokenId>& text = {}) {
  const auto z = changed_by_definition(row, options, prompt, text);
  std::vector<size_t> order(z.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return z[a] > z[b]; });
  std::vector<double> p(z.size(), 0.0);
  if (options.temperature == 0.0) {
    p[order[0]] = 1.0;
    return p;
  }
  for (const auto i : order) {
    p[i] = std::exp((z[i] - z[order[0]]) / options.temperature);
  }
  const auto cut_behind = [&](size_t count) {
    for (size_t rank = count; rank < order.size(); ++rank) {
      p[order[rank]] = 0.0;
    }
  };
  for (auto& weight : p) {
    weight = weight >= options.min_p ? weight : 0.0;
  }
  if (options.top_k > 0) {
    cut_behind(static_cast<size_t>(options.top_k));
  }
  double total = 0.0;
  for (const auto i : order) {
    total += p[i];
  }
  if (options.top_p < 1.0) {
    double sum = 0.0;
    size_t count = 0;
    while (count < order.size() && (count == 0 || sum < options.top_p * total)) {
      sum += p[order[count++]];
    }
    cut_behind(count);
  }
  total = std::accumulate(p.begin(), p.end(), 0.0);
  for (auto& probability : p) {
    probability /= total;
  }
  return p;
}

void expect_equal(const std::vector<double>& found, const std::vector<double>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_NEAR(found[i], expected[i], kProbabilityTolerance) << "token " << i;
    ASSERT_EQ(found[i] == 0.0, expected[i] == 0.0) << "token " << i;
  }
}

SamplingOptions random_options(RandomStream& random, size_t size) {
  SamplingOptions options;
  const auto one_in = [&](uint64_t n) { return random.below(n) == 0; };
  options.temperature = one_in(6) ? 0.0 : 0.2 + 2.0 * random.uniform();
  options.top_p = one_in(2) ? 1.0 : 0.01 + 0.99 * random.uniform();
  options.top_k = one_in(2) ? 0 : static_cast<int64_t>(1 + random.below(size + 2));
  options.min_p = one_in(2) ? 0.0 : 0.3 * random.uniform() * random.uniform();
  options.repetition_penalty = one_in(2) ? 1.0 : 0.5 + 1.5 * random.uniform();
  options.presence_penalty = one_in(2) ? 0.0 : 4.0 * random.uniform() - 2.0;
  options.frequency_penalty = one_in(2) ? 0.0 : 4.0 * random.uniform() - 2.0;
  for (uint64_t i = one_in(2) ? 0 : random.below(4); i > 0; --i) {
    options.logit_bias[random.between(0, static_cast<int64_t>(size) - 1)] =
        random.uniform() * 8 - 4;
  }
  return options;
}

std::vector<TokenId> random_tokens(RandomStream& random, size_t size) {
  std::vector<TokenId> tokens(random.below(12));
  for (auto& token : tokens) {
    token = static_cast<TokenId>(random.below(size));
  }
  return tokens;
}

TEST(Sampler, ProbabilitiesAreThoseOfTheDefinition) {
  RandomStream random(/*seed=*/3);
  for (int trial = 0; trial < 3000; ++trial) {
    SCOPED_TRACE(trial);
    const size_t size = 1 + random.below(trial % 10 == 0 ? 3000 : 40);
    const auto row = random_row(random, size, 1.0 + 12.0 * random.uniform(), trial % 3 == 0);
    const auto options = random_options(random, size);
    const auto prompt = random_tokens(random, size);
    const auto text = random_tokens(random, size);
    Sampler sampler(options, /*seed=*/1, static_cast<int64_t>(size), prompt);
    for (const auto token : text) {
      sampler.accept(token);
    }
    const auto expected = by_definition(row, options, prompt, text);
    expect_equal(sampler.probabilities(row), expected);
    const auto token = static_cast<size_t>(sampler.next(row).token);
    ASSERT_GT(expected[token], 0.0);
    ASSERT_EQ(sampler.random().position(), options.temperature == 0.0 ? 0U : 1U);
    if (HasFatalFailure()) {
      return;
    }
  }
}

TEST(Sampler, EachSettingDoesWhatItSays) {
  const std::vector<float> row = {2.0F, -1.0F, 0.5F, 3.0F};
  const auto logits_behind = [&](const SamplingOptions& options) {
    Sampler sampler(options, 1, 4, std::vector<TokenId>{0, 1});
    sampler.accept(3);
    sampler.accept(3);
    std::vector<double> differences;  // to token 2, which is never seen
    const auto p = sampler.probabilities(row);
    for (const double probability : p) {
      differences.push_back(std::log(probability / p[2]));
    }
    return differences;
  };
  SamplingOptions plain{.temperature = 1.0, .top_p = 1.0};
  const auto expect = [&](const SamplingOptions& options, const std::vector<double>& logits) {
    const auto found = logits_behind(options);
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_NEAR(found[i], logits[i] - logits[2], 1e-12) << i;
    }
  };
  expect(plain, {2.0, -1.0, 0.5, 3.0});
  auto options = plain;
  options.temperature = 0.5;
  expect(options, {4.0, -2.0, 1.0, 6.0});
  options = plain;
  options.repetition_penalty = 2.0;
  expect(options, {1.0, -2.0, 0.5, 1.5});
  options = plain;
  options.presence_penalty = 0.25;  // of the text alone, once
  expect(options, {2.0, -1.0, 0.5, 2.75});
  options = plain;
  options.frequency_penalty = 0.25;  // for each time
  expect(options, {2.0, -1.0, 0.5, 2.5});
  options = plain;
  options.logit_bias = {{1, 4.0}};
  expect(options, {2.0, 3.0, 0.5, 3.0});
  options.repetition_penalty = 2.0;  // acts on what the bias left
  expect(options, {1.0, 1.5, 0.5, 1.5});
}

/// Pearson's chi^2 of draws against probabilities, over its degrees of freedom.
double chi_square(const std::vector<int>& counts, const std::vector<double>& p, int draws) {
  double sum = 0.0;
  int cells = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    if (p[i] > 0.0) {
      const double expected = p[i] * draws;
      sum += (counts[i] - expected) * (counts[i] - expected) / expected;
      ++cells;
    } else {
      EXPECT_EQ(counts[i], 0) << "token " << i;
    }
  }
  return sum / std::max(1, cells - 1);
}

TEST(Sampler, DrawsFollowTheProbabilities) {
  constexpr int kDraws = 100000;
  RandomStream random(/*seed=*/8);
  const auto row = random_row(random, 24, 3.0, false);
  const std::vector<SamplingOptions> cases = {
      {.temperature = 1.0, .top_p = 1.0},
      {.temperature = 0.7, .top_p = 0.9},
      {.temperature = 1.5, .top_k = 6, .top_p = 1.0},
      {.temperature = 1.0, .top_p = 1.0, .min_p = 0.1},
      {.temperature = 1.0, .top_p = 1.0, .logit_bias = {{3, 2.0}}}};
  for (size_t i = 0; i < cases.size(); ++i) {
    Sampler sampler(cases[i], /*seed=*/i, 24);
    const auto p = by_definition(row, cases[i]);
    std::vector<int> counts(24);
    for (int draw = 0; draw < kDraws; ++draw) {
      ++counts[static_cast<size_t>(sampler.next(row).token)];
    }
    // With 5 to 23 degrees of freedom, one run in 10^4 lies above 5.
    EXPECT_LT(chi_square(counts, p, kDraws), 5.0) << "case " << i;
    auto biased = by_definition(row, cases[i]);
    const auto most = std::max_element(biased.begin(), biased.end());
    const double moved = 0.2 * *most;  // the test sees a bias of this size
    *most -= moved;
    for (auto& probability : biased) {
      probability /= 1.0 - moved;
    }
    EXPECT_GT(chi_square(counts, biased, kDraws), 5.0) << "case " << i;
  }
}

TEST(Sampler, TemperatureZeroTakesTheFirstOfTheMostProbable) {
  const std::vector<float> row = {0.5F, 2.0F, -1.0F, 2.0F};
  Sampler sampler({.temperature = 0.0}, 1, 4);
  EXPECT_EQ(sampler.next(row).token, 1);
  EXPECT_EQ(sampler.random().position(), 0U);
  EXPECT_EQ(sampler.probabilities(row), (std::vector<double>{0, 1, 0, 0}));
  Sampler biased({.temperature = 0.0, .logit_bias = {{2, 3.0}}}, 1, 4);
  EXPECT_EQ(biased.next(row).token, 1);  // 2 is as probable now, and comes behind
}

TEST(Sampler, LogProbabilitiesAreTheModels) {
  RandomStream random(/*seed=*/5);
  const auto row = random_row(random, 700, 20.0, true);
  double sum = 0.0;
  for (const float logit : row) {
    sum += std::exp(static_cast<double>(logit));
  }
  Sampler sampler({.temperature = 0.3, .top_k = 5, .logit_bias = {{7, 40.0}}, .logprobs = 90}, 2,
                  700);
  const auto draw = sampler.next(row);
  EXPECT_EQ(draw.token, 7);
  EXPECT_NEAR(draw.log_probability, row[7] - std::log(sum), 1e-9);
  std::vector<TokenId> order(700);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](TokenId a, TokenId b) {
    return row[static_cast<size_t>(a)] > row[static_cast<size_t>(b)];
  });
  ASSERT_EQ(draw.top.size(), 90U);
  for (size_t i = 0; i < draw.top.size(); ++i) {
    EXPECT_EQ(draw.top[i].token, order[i]) << i;
    EXPECT_NEAR(draw.top[i].log_probability, row[static_cast<size_t>(order[i])] - std::log(sum),
                1e-9);
  }
}

TEST(Sampler, TheSeedAloneDecidesTheDraws) {
  RandomStream random(/*seed=*/6);
  const auto text = [](uint64_t seed, const std::vector<float>& row) {
    Sampler sampler({.temperature = 1.0, .top_p = 1.0}, seed, 50);
    std::vector<TokenId> tokens;
    for (int i = 0; i < 40; ++i) {
      tokens.push_back(sampler.next(row).token);
    }
    return tokens;
  };
  const auto row = random_row(random, 50, 2.0, false);
  EXPECT_EQ(text(completion_seed(9, 0), row), text(completion_seed(9, 0), row));
  EXPECT_NE(text(completion_seed(9, 0), row), text(completion_seed(9, 1), row));
  EXPECT_NE(text(completion_seed(9, 0), row), text(completion_seed(10, 0), row));
}

TEST(Sampler, TakesTensorsOfAnyTypeAndPaddingIsNeverDrawn) {
  const auto row = at::tensor(std::vector<float>{1.0F, 1.5F, 0.25F, 9.0F, 99.0F});
  Sampler sampler({.temperature = 1.0, .top_p = 1.0, .logprobs = 5}, 1, 3);
  const auto draw = sampler.next(row.to(at::kBFloat16));
  EXPECT_LT(draw.token, 3);
  EXPECT_EQ(draw.top.size(), 3U);
  EXPECT_EQ(sampler.probabilities(std::vector<float>{1.0F, 1.5F, 0.25F, 9.0F}).size(), 3U);
}

TEST(Sampler, ExtremesDoNotOverflow) {
  // exp(1000) is beyond fp64; the probabilities are 1 / 5 and 4 / 5.
  const std::vector<float> row = {1000.0F, 1000.0F + std::log(4.0F)};
  EXPECT_NEAR(Sampler({.temperature = 1.0, .top_p = 1.0}, 1, 2).probabilities(row)[1], 0.8, 1e-4);
  for (const double temperature : {1e-300, 1e-320, 1e300}) {
    const Sampler sampler({.temperature = temperature, .top_p = 1.0}, 1, 2);
    EXPECT_NEAR(sampler.probabilities(row)[1], temperature > 1 ? 0.5 : 1.0, 1e-12) << temperature;
  }
}

TEST(Sampler, MistakesAreNamed) {
  const auto use = [](SamplingOptions options, const std::vector<float>& row) {
    return [=] { (void)Sampler(options, 1, 3).next(row); };
  };
  const std::vector<float> row = {0.5F, 1.0F, 2.0F};
  expect_contains(error_of(ErrorCode::kCheckpoint, use({}, {0.5F, NAN, 1.0F})),
                  "expected finite logits, got nan at token 1");
  expect_contains(error_of(ErrorCode::kCheckpoint, use({}, {0.5F, 1.0F, -INFINITY})),
                  "got -inf at token 2");
  expect_contains(error_of(ErrorCode::kShape, use({}, {0.5F, 1.0F})),
                  "expected at least 3 logits, got 2");
  expect_contains(error_of(ErrorCode::kConfig, use({.temperature = -1.0}, row)),
                  "sampling: \"temperature\" expects a number of 0 or more, got -1");
  expect_contains(error_of(ErrorCode::kConfig, use({.top_p = 0.0}, row)),
                  "\"top_p\" expects a number above 0 and at most 1, got 0");
  expect_contains(error_of(ErrorCode::kConfig, use({.logit_bias = {{3, 1.0}}}, row)),
                  "\"logit_bias\" expects ids from 0 to 2, got 3.");
  expect_contains(error_of(ErrorCode::kConfig, use({.logit_bias = {{1, 101.0}}}, row)),
                  "from -100 to 100, got 101.0 in the value of id 1. Nearest: 100.");
}

TEST(DrawIndex, GivesEachIndexItsShareOfTheInterval) {
  const std::vector<double> weights = {0.0, 2.0, 0.0, 1.0, 1.0, 0.0};
  EXPECT_EQ(draw_index(weights, 0.0), 1U);
  EXPECT_EQ(draw_index(weights, 0.4999), 1U);
  EXPECT_EQ(draw_index(weights, 0.5), 3U);
  EXPECT_EQ(draw_index(weights, 0.75), 4U);
  EXPECT_EQ(draw_index(weights, std::nextafter(1.0, 0.0)), 4U);
}

TEST(MostProbable, AreThoseOfAFullSort) {
  RandomStream random(/*seed=*/4);
  for (int trial = 0; trial < 300; ++trial) {
    const auto row = random_row(random, 1 + random.below(500), 6.0, trial % 2 == 0);
    const auto count = random.below(row.size() + 3);
    std::vector<Candidate> all;
    for (size_t i = 0; i < row.size(); ++i) {
      all.push_back({row[i], static_cast<TokenId>(i)});
    }
    std::sort(all.begin(), all.end(), comes_before);
    auto found = most_probable(std::span<const float>(row), count);
    std::sort(found.begin(), found.end(), comes_before);
    ASSERT_EQ(found.size(), std::min<size_t>(count, row.size()));
    for (size_t i = 0; i < found.size(); ++i) {
      ASSERT_EQ(found[i].token, all[i].token) << trial;
    }
  }
}

}  // namespace
}  // namespace loopbank
