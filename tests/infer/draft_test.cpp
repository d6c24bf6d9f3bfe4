#include "loopbank/infer/draft.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <boost/math/distributions/chi_squared.hpp>
#include <string>
#include <vector>

#include "tests/infer/looping_model.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::looping_model;
using testing::request_of;
using testing::run_all;
using testing::some_prompt;

TEST(LookUp, FindsWhatFollowedTheLatestLongestMatch) {
  const std::vector<TokenId> text = {1, 2, 3, 4, 9, 2, 3, 7, 8, 1, 2, 3};
  EXPECT_EQ(look_up(text, 2), (std::vector<TokenId>{4, 9}));  // of 1 2 3, not of the later 2 3
  EXPECT_EQ(look_up(std::span(text).subspan(1), 9),
            (std::vector<TokenId>{7, 8, 1, 2, 3}));  // of 2 3, the latest
  EXPECT_TRUE(look_up(std::span(text).first(5), 4).empty());
  EXPECT_TRUE(look_up(std::span(text).first(0), 4).empty());
  const std::vector<TokenId> same = {5, 5, 5, 5};
  EXPECT_EQ(look_up(same, 4), (std::vector<TokenId>{5}));
}

TEST(DraftOptions, AreParsedAndMistakesNamed) {
  EXPECT_EQ(DraftOptions::parse("none").kind, DraftOptions::Kind::kNone);
  EXPECT_EQ(DraftOptions::parse("lookup").tokens, 4);
  const auto loops = DraftOptions::parse("loops:2,7");
  EXPECT_EQ(loops.loops, 2);
  EXPECT_EQ(loops.tokens, 7);
  for (const std::string bad :
       {"", "look", "loops", "loops:0", "loops:1.5", "lookup,0", "lookup,x"}) {
    EXPECT_EQ(
        error_of(ErrorCode::kConfig, [&] { (void)DraftOptions::parse(bad, "--draft"); }),
        "--draft: expected none, lookup or loops:n with n from 1 to 64, each with \",k\" behind "
        "it for k guesses a pass, 1 to 64, got \"" +
            bad + "\".");
  }
}

class Drafts : public ::testing::TestWithParam<std::string> {};

TEST_P(Drafts, ChangeNoAnswer) {
  const auto model = looping_model();
  const std::vector<std::string> exits = {"all", "cdf:0.6", "change:0.5", "budget:2,hard"};
  const std::vector<std::string> policies = {"full", "copy", "recompute", "first", "last"};
  Engine plain(model, {.batch_tokens = 64});
  Engine drafting(model, {.batch_tokens = 64});
  plain.poison_pages();
  drafting.poison_pages();
  std::mt19937_64 random(3);
  for (int i = 0; i < 1000; ++i) {
    auto request = request_of(some_prompt(2 + static_cast<int64_t>(random() % 12), random()),
                              8 + static_cast<int64_t>(random() % 20), exits[random() % 4],
                              policies[random() % 5]);
    request.sampling.temperature = i % 4 == 0 ? 0.7 : 0.0;
    request.sampling.repetition_penalty = i % 8 == 0 ? 1.1 : 1.0;
    request.seed = random();
    plain.add(request);
    request.draft = DraftOptions::parse(GetParam());
    drafting.add(request);
  }
  EXPECT_EQ(run_all(drafting), run_all(plain));
  EXPECT_NE(drafting.counts().tokens, plain.counts().tokens);  // guesses were made
}

INSTANTIATE_TEST_SUITE_P(Engine, Drafts,
                         ::testing::Values("lookup", "lookup,9", "loops:1", "loops:2,3"));

TEST(Drafts, DrawsHaveTheModelsDistribution) {
  constexpr int64_t kDraws = 100000;
  const auto model = looping_model();
  const auto vocab = testing::kLoopingVocabulary;
  const std::vector<TokenId> prompt = {4, 5, 6, 7, 4, 5};
  // p(second token) = sum over the first of p(first) p(second | first).
  const at::NoGradGuard no_grad;
  const auto distribution = [&](std::vector<int64_t> text) {
    const auto logits = model.forward(at::tensor(text, at::kLong).unsqueeze(0)).logits[0][-1];
    return at::softmax(logits.to(at::kDouble), 0);
  };
  std::vector<int64_t> text(prompt.begin(), prompt.end());
  const auto first = distribution(text);
  auto second = first * 0;
  text.push_back(0);
  for (int64_t token = 0; token < vocab; ++token) {
    text.back() = token;
    second += first[token] * distribution(text);
  }
  std::vector<int64_t> counts(static_cast<size_t>(vocab));
  Engine engine(model, {.batch_tokens = 512});
  std::map<std::pair<RequestId, int64_t>, int> seen;
  auto request = request_of(prompt, 3);
  request.sampling.temperature = 1.0;
  request.completions = 100;
  request.draft = DraftOptions::parse("loops:1");
  for (int64_t i = 0; i < kDraws / request.completions; ++i) {
    request.seed = static_cast<uint64_t>(i);
    engine.add(request);
  }
  while (!engine.idle()) {
    for (const auto& token : engine.step().generated) {
      // The first two tokens of every completion: a guess is made of the second.
      if (++seen[{token.request, token.completion}] <= 2) {
        counts[static_cast<size_t>(token.draw.token)] += 1;
      }
    }
  }
  EXPECT_GT(engine.counts().guessed, 500);
  const auto expected = (first + second) * static_cast<double>(kDraws);
  const auto statistic = [&](const std::vector<int64_t>& observed) {
    double sum = 0.0;
    for (int64_t token = 0; token < vocab; ++token) {
      const double e = expected[token].item<double>();
      const double off = static_cast<double>(observed[static_cast<size_t>(token)]) - e;
      sum += off * off / e;
    }
    return sum;
  };
  const boost::math::chi_squared distribution_of_statistic(static_cast<double>(vocab - 1));
  const double limit = boost::math::quantile(distribution_of_statistic, 0.999);
  EXPECT_LT(statistic(counts), limit);
  // The same draws, were one in a hundred a guess that had been kept against the model.
  auto biased = counts;
  int64_t moved = 0;
  for (auto& count : biased) {
    moved += count / 100;
    count -= count / 100;
  }
  biased[6] += moved;
  EXPECT_GT(statistic(biased), limit);
}

/// Passes with guesses among the first `passes`, where a plain pass brings a token a second and one
/// with guesses `rate` of them.
int64_t drafted_passes(double rate, int64_t passes) {
  DraftTrial trial;
  int64_t drafted = 0;
  for (int64_t pass = 0; pass < passes; ++pass) {
    const bool drafts = trial.drafts();
    drafted += drafts ? 1 : 0;
    trial.add(drafts ? 2.0 / rate : 1.0, drafts ? 2 : 1);
  }
  return drafted;
}

TEST(DraftTrial, LeavesOffWhatDoesNotPayAndKeepsWhatDoes) {
  constexpr int64_t kPasses = 1000;
  const auto of_slow = drafted_passes(0.5, kPasses);
  EXPECT_GT(of_slow, 0);  // it is tried, and again later
  EXPECT_LT(of_slow, kPasses / 20);
  EXPECT_GT(drafted_passes(2.0, kPasses), kPasses * 19 / 20);
}

}  // namespace
}  // namespace loopbank
