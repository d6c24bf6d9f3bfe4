#include "loopbank/eval/scorer.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

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
using testing::random_model;
using testing::random_table;

const std::vector<ScoreRequest> kRequests = {
    {"The harbour of Velm", " lies on the north coast."},
    {"Nine times four is", " thirty-six"},
    {"Nine times four is", " x"},
    {"", "A new text"},
    {"a", " b"},
};

std::vector<ContinuationScore> score(const LanguageModel& model, const Tokenizer& tokenizer,
                                     const std::vector<ScoreRequest>& requests,
                                     const ScoreOptions& options = {}) {
  const EncodedRequests encoded(tokenizer, requests, model.config().max_position_embeddings);
  return score_requests(model, encoded, options).scores;
}

TokenId token_before(const Tokenizer& tokenizer, const ScoreRequest& request) {
  return request.context.empty() ? tokenizer.end_of_text()
                                 : static_cast<unsigned char>(request.context.back());
}

TEST(Scorer, LogProbabilitiesAreThoseOfTheKnownModel) {
  const auto table = random_table();
  const auto model = bigram_model(table, bigram_config());
  const auto tokenizer = Tokenizer::bytes();
  const auto scores = score(model, tokenizer, kRequests);
  ASSERT_EQ(scores.size(), kRequests.size());
  for (size_t i = 0; i < kRequests.size(); ++i) {
    const auto& request = kRequests[i];
    const double expected =
        bigram_log_probability(table, token_before(tokenizer, request), request.continuation);
    EXPECT_NEAR(scores[i].log_probability, expected, 1e-4 * std::abs(expected)) << i;
    EXPECT_EQ(scores[i].tokens, static_cast<int64_t>(request.continuation.size()));
    EXPECT_FALSE(scores[i].context_cut);
    EXPECT_EQ(scores[i].windows, 1);
  }
}

TEST(Scorer, ABatchDoesNotChangeItsRows) {
  const auto model = random_model();
  const auto tokenizer = Tokenizer::bytes();
  const auto together = score(model, tokenizer, kRequests);
  for (const int64_t batch_tokens : {1, 50, 100}) {
    ScoreOptions options;
    options.batch_tokens = batch_tokens;
    const auto apart = score(model, tokenizer, kRequests, options);
    for (size_t i = 0; i < kRequests.size(); ++i) {
      const auto tolerance = 1e-4 * static_cast<double>(apart[i].tokens);
      EXPECT_NEAR(apart[i].log_probability, together[i].log_probability, tolerance) << i;
      EXPECT_NEAR(apart[i].loops, together[i].loops, tolerance) << i;
      EXPECT_EQ(apart[i].greedy, together[i].greedy) << i;
    }
  }
  // The model must see its context, or the comparison above would say nothing.
  const auto other = score(model, tokenizer, {{"Mine times four is", " thirty-six"}});
  EXPECT_GT(std::abs(other[0].log_probability - together[1].log_probability), 1e-2);
}

TEST(Scorer, SharingChangesNoScore) {
  const auto tokenizer = Tokenizer::bytes();
  // A prefix of shots, contexts with several choices, and two contexts with one continuation.
  const std::string shots = "Question: one?\nAnswer: two\n\n";
  const std::vector<std::string> contexts = {
      shots + "Question: three?\nAnswer:", shots + "Question: thirty?\nAnswer:",
      "The anchor held the boat since the anchor", "The anchor held the boat since the boat"};
  std::vector<ScoreRequest> requests;
  for (size_t i = 0; i < contexts.size(); ++i) {
    for (const auto* choice : {" four", " fourteen", " a", " was heavy."}) {
      requests.push_back({contexts[i], i < 2 ? choice : " was heavy."});
    }
  }
  for (const int64_t max_length : {96, 40}) {  // all fit; shots are cut from the left
    const auto model = random_model(max_length);
    const EncodedRequests encoded(tokenizer, requests, max_length);
    const auto apart = score_requests(model, encoded, {.share_prefixes = false});
    EXPECT_EQ(apart.cost.computed_tokens, apart.cost.tokens);
    for (const int64_t batch_tokens : {100, 4096}) {
      const auto shared = score_requests(model, encoded, {.batch_tokens = batch_tokens});
      EXPECT_EQ(shared.cost.tokens, apart.cost.tokens);
      // Where contexts are cut, they begin at different places and share less.
      const int64_t factor = max_length == 96 && batch_tokens > 100 ? 2 : 1;
      EXPECT_LT(factor * shared.cost.computed_tokens, apart.cost.tokens);
      for (size_t i = 0; i < requests.size(); ++i) {
        const auto tolerance = 1e-4 * static_cast<double>(apart.scores[i].tokens);
        EXPECT_NEAR(shared.scores[i].log_probability, apart.scores[i].log_probability, tolerance);
        EXPECT_NEAR(shared.scores[i].loops, apart.scores[i].loops, tolerance);
        EXPECT_EQ(shared.scores[i].greedy, apart.scores[i].greedy);
        EXPECT_EQ(shared.scores[i].context_cut, apart.scores[i].context_cut);
      }
    }
  }
}

TEST(Scorer, TheSameRunGivesTheSameBits) {
  const auto model = random_model();
  const auto first = score(model, Tokenizer::bytes(), kRequests);
  const auto second = score(model, Tokenizer::bytes(), kRequests);
  for (size_t i = 0; i < kRequests.size(); ++i) {
    EXPECT_EQ(first[i].log_probability, second[i].log_probability);
  }
}

TEST(Scorer, AContextThatDoesNotFitIsCutFromItsLeft) {
  const auto model = random_model(/*max_length=*/16);
  const auto tokenizer = Tokenizer::bytes();
  const std::string context = "a long context whose end alone is seen";
  const auto scores =
      score(model, tokenizer, {{context, " yes"}, {context.substr(context.size() - 13), " yes"}});
  EXPECT_TRUE(scores[0].context_cut);  // 17 tokens: 13 of context and 4
  EXPECT_FALSE(scores[1].context_cut);
  EXPECT_NEAR(scores[0].log_probability, scores[1].log_probability, 1e-5);
  EXPECT_EQ(scores[0].windows, 1);
}

TEST(Scorer, AContinuationLongerThanTheModelIsScoredInBlocks) {
  const auto table = random_table();
  const auto model = bigram_model(table, bigram_config(/*max_length=*/8));
  const std::string continuation = " a continuation of more than eight tokens";
  const auto scores = score(model, Tokenizer::bytes(), {{"behind this", continuation}});
  EXPECT_NEAR(scores[0].log_probability, bigram_log_probability(table, 's', continuation), 1e-2);
  EXPECT_EQ(scores[0].windows, (static_cast<int64_t>(continuation.size()) + 3) / 4);
  EXPECT_EQ(scores[0].tokens, static_cast<int64_t>(continuation.size()));
  EXPECT_TRUE(scores[0].context_cut);
}

TEST(EncodedRequests, BlocksScoreEveryTokenOnceAndFit) {
  const auto tokenizer = Tokenizer::bytes();
  for (const int64_t max_length : {1, 2, 7, 8, 19, 20, 21}) {
    for (const size_t size : {1, 7, 8, 9, 20, 21, 40}) {
      const std::string continuation(size, 'c');
      const EncodedRequests encoded(tokenizer, {{"context", continuation}}, max_length);
      int64_t scored = 0;
      for (const auto& window : encoded.windows()) {
        scored += window.num_scored;
        EXPECT_LE(window.num_inputs(), max_length);
        EXPECT_GE(window.num_inputs(), window.num_scored);
      }
      EXPECT_EQ(scored, static_cast<int64_t>(size)) << max_length;
    }
  }
}

TEST(EncodedRequests, TokensAcrossTheBoundaryAreEncodedApart) {
  // "b a" is one token in the whole text, so the context's tokens are no prefix of it.
  const auto path = testing::TestDirectory();
  const auto file = path.write("tokenizer.json", testing::small_tokenizer({{"b", "c"}}).dump());
  const auto tokenizer = Tokenizer::load(file);
  const EncodedRequests merged(tokenizer, {{"ab", "ca"}}, 16);
  EXPECT_EQ(merged.windows()[0].tokens, (std::vector<int64_t>{'a', 'b', 'c', 'a'}));
  EXPECT_EQ(merged.windows()[0].num_scored, 2);
  const EncodedRequests inside(tokenizer, {{"a", "bca"}}, 16);
  EXPECT_EQ(inside.windows()[0].tokens, (std::vector<int64_t>{'a', 256, 'a'}));
  EXPECT_EQ(inside.blank_scores()[0].tokens, 2);
  EXPECT_EQ(inside.blank_scores()[0].bytes, 3);
}

// As lm-evaluation-harness does (TemplateLM._encode_pair).
TEST(EncodedRequests, WhiteSpaceThatEndsAContextIsScoredWithTheContinuation) {
  const testing::TestDirectory directory;
  const auto file =
      directory.write("tokenizer.json", testing::small_tokenizer({{" ", "y"}, {" ", " "}}).dump());
  const auto tokenizer = Tokenizer::load(file);
  constexpr int64_t kSpaceY = 256;
  const auto encode = [&](std::string_view context, std::string_view continuation) {
    const EncodedRequests encoded(tokenizer, {{context, continuation}}, 16);
    return std::pair(encoded.windows()[0], encoded.blank_scores()[0]);
  };
  const auto [plain, plain_score] = encode("ab", " y");
  EXPECT_EQ(plain.tokens, (std::vector<int64_t>{'a', 'b', kSpaceY}));
  EXPECT_EQ(plain.num_scored, 1);
  // The blank and the "y" are one token, which would lie across the boundary.
  const auto [moved, moved_score] = encode("ab ", "y");
  EXPECT_EQ(moved.tokens, plain.tokens);
  EXPECT_EQ(moved.num_scored, 1);
  EXPECT_EQ(moved_score.tokens, 1);
  EXPECT_EQ(moved_score.bytes, 1);  // of the continuation as it was given
  EXPECT_EQ(moved_score.characters, 1);
  EXPECT_EQ(moved_score.context_tokens, 2);
  const auto [line, line_score] = encode("ab\n\xC2\xA0", "y");  // white space of Unicode, too
  EXPECT_EQ(line.tokens, (std::vector<int64_t>{'a', 'b', '\n', 0xC2, 0xA0, 'y'}));
  EXPECT_EQ(line.num_scored, 4);
  EXPECT_EQ(line_score.tokens, 4);
  const auto [blank, blank_score] = encode(" ", "y");  // nothing is left of the context
  EXPECT_EQ(blank.tokens, (std::vector<int64_t>{tokenizer.end_of_text(), kSpaceY}));
  EXPECT_EQ(blank.num_scored, 1);
}

TEST(EncodedRequests, AnEmptyContextBecomesBosIfThereIsOne) {
  const testing::TestDirectory directory;
  auto json = testing::small_tokenizer({});
  const int64_t bos = 257;  // behind the bytes and <|endoftext|>
  json["added_tokens"].push_back(testing::added_token(bos, "<s>"));
  const auto first_token = [&](const std::string& config) {
    directory.write("tokenizer.json", json.dump());
    directory.write("tokenizer_config.json", config);
    const EncodedRequests encoded(Tokenizer::load(directory.path()), {{"", "y"}}, 16);
    EXPECT_EQ(encoded.windows()[0].num_scored, 1);
    EXPECT_EQ(encoded.windows()[0].tokens.size(), 2U);
    return encoded.windows()[0].tokens[0];
  };
  EXPECT_EQ(first_token(R"({"eos_token": "<|endoftext|>"})"), 256);
  EXPECT_EQ(first_token(R"({"eos_token": "<|endoftext|>", "bos_token": "<s>"})"), bos);
}

TEST(EncodedRequests, AnEmptyContinuationIsRefused) {
  expect_contains(error_of(ErrorCode::kData,
                           [] {
                             const EncodedRequests empty(Tokenizer::bytes(), {{"ab", ""}}, 8);
                           }),
                  "expected a continuation of at least one byte, got none after \"ab\"");
}

TEST(Scorer, GreedyMarksTheMostProbableContinuation) {
  auto table = at::zeros({testing::kByteVocabulary, testing::kByteVocabulary});
  table['b']['a'] = 5.0;
  table['c']['b'] = 5.0;
  table['a']['x'] = 5.0;
  const auto scores = score(bigram_model(table, bigram_config()), Tokenizer::bytes(),
                            {{"a", "bc"}, {"a", "bd"}, {"a", "b"}, {"a", "xa"}});
  EXPECT_TRUE(scores[0].greedy);
  EXPECT_FALSE(scores[1].greedy);
  EXPECT_TRUE(scores[2].greedy);
  EXPECT_FALSE(scores[3].greedy);  // wrong first, right then
}

TEST(Scorer, LoopsAreCountedOverTheScoredTokens) {
  const auto model = bigram_model(random_table(), bigram_config(64, /*loops=*/3));
  const std::vector<double> by_budget = {1.0, 1.5, 1.75};  // probability 1/2 after each
  for (int64_t budget = 1; budget <= 3; ++budget) {
    ScoreOptions options;
    options.inference.max_loops = budget;
    const auto scores = score(model, Tokenizer::bytes(), kRequests, options);
    for (const auto& item : scores) {
      EXPECT_NEAR(item.loops / static_cast<double>(item.tokens),
                  by_budget[static_cast<size_t>(budget - 1)], 1e-5);
    }
  }
}

TEST(Scorer, ManyPositionsPassThroughTheHeadInParts) {
  const auto table = random_table();
  const auto model = bigram_model(table, bigram_config(/*max_length=*/1500));
  std::string continuation;
  for (int i = 0; i < 1300; ++i) {
    continuation += static_cast<char>('a' + i * i % 23);
  }
  const auto scores = score(model, Tokenizer::bytes(), {{"q", continuation}});
  const double expected = bigram_log_probability(table, 'q', continuation);
  EXPECT_NEAR(scores[0].log_probability, expected, 1e-4 * std::abs(expected));
}

TEST(Scorer, WeightsThatAreNotFiniteAreRefused) {
  auto table = random_table();
  table[3][' '] = std::nan("");
  expect_contains(
      error_of(
          ErrorCode::kCheckpoint,
          [&] {
            (void)score(bigram_model(table, bigram_config()), Tokenizer::bytes(), {{"a", " b"}});
          }),
      "nan. The model's weights hold values that are not finite");
}

}  // namespace
}  // namespace loopbank
