#include "loopbank/infer/generator.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/eval/bigram_model.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::bigram_config;
using testing::bigram_model;
using testing::error_of;
using testing::expect_contains;
using testing::kByteVocabulary;
using testing::random_model;

/// Behind each byte of the cycle the next one is all but certain.
at::Tensor chain(std::string_view cycle) {
  auto table = at::zeros({kByteVocabulary, kByteVocabulary});
  for (size_t i = 0; i < cycle.size(); ++i) {
    const auto from = static_cast<int64_t>(static_cast<unsigned char>(cycle[i]));
    const auto to = static_cast<int64_t>(static_cast<unsigned char>(cycle[(i + 1) % cycle.size()]));
    table[to][from] = 50.0;
  }
  return table;
}

GenerateOptions greedy(int64_t max_tokens) {
  GenerateOptions options;
  options.max_tokens = max_tokens;
  options.sampling.temperature = 0.0;
  return options;
}

TEST(Generator, FollowsAKnownModel) {
  const auto tokenizer = Tokenizer::bytes();
  const auto model = bigram_model(chain("helo "), bigram_config());
  Generator generator(model, tokenizer);
  std::string streamed;
  const auto result = generator.generate("he", greedy(9), [&](std::string_view piece) {
    streamed += piece;
    return true;
  });
  EXPECT_EQ(result.text, "lo helo h");
  EXPECT_EQ(result.text, streamed);
  EXPECT_EQ(result.tokens.size(), 9U);
  EXPECT_EQ(result.prompt_tokens, 2);
  EXPECT_EQ(result.stop_reason, StopReason::kMaxTokens);
  EXPECT_NEAR(result.mean_loops, 1.0, 1e-6);
}

TEST(Generator, GreedyTextIsThatOfFullForwards) {
  const at::NoGradGuard no_grad;
  const auto tokenizer = Tokenizer::bytes();
  const auto model = random_model();
  const auto result = Generator(model, tokenizer).generate("Ada Korin", greedy(20));
  std::vector<int64_t> tokens;
  for (const auto id : tokenizer.encode("Ada Korin")) {
    tokens.push_back(id);
  }
  for (const auto token : result.tokens) {
    const auto logits = model.forward(at::tensor(tokens, at::kLong).unsqueeze(0)).logits;
    EXPECT_EQ(logits.select(1, -1).argmax().item<int64_t>(), token);
    tokens.push_back(token);
  }
  EXPECT_GE(result.tokens.size(), 1U);
}

TEST(Generator, TheSeedDecidesTheText) {
  const auto tokenizer = Tokenizer::bytes();
  const auto model = random_model();
  Generator generator(model, tokenizer);
  GenerateOptions options;
  options.max_tokens = 30;
  options.sampling = {.temperature = 1.0, .top_p = 1.0};
  options.seed = 4;
  const auto first = generator.generate("The", options);
  EXPECT_EQ(generator.generate("The", options).tokens, first.tokens);
  options.seed = 5;
  EXPECT_NE(generator.generate("The", options).tokens, first.tokens);
}

TEST(Generator, TellsEachTokensProbabilityLoopsAndPlace) {
  const at::NoGradGuard no_grad;
  const auto tokenizer = Tokenizer::bytes();
  const auto model = random_model();
  GenerateOptions options;
  options.max_tokens = 12;
  options.seed = 2;
  options.sampling.logprobs = 3;
  const auto result = Generator(model, tokenizer).generate("Ada", options);
  ASSERT_GE(result.tokens.size(), 3U);
  ASSERT_EQ(result.loops.size(), result.tokens.size());
  ASSERT_EQ(result.top.size(), result.tokens.size());
  ASSERT_EQ(result.text_offsets.size(), result.tokens.size());
  std::vector<int64_t> read;
  for (const auto id : tokenizer.encode("Ada")) {
    read.push_back(id);
  }
  for (size_t i = 0; i < result.tokens.size(); ++i) {
    const auto out = model.forward(at::tensor(read, at::kLong).unsqueeze(0));
    const auto log_p = at::log_softmax(out.logits.select(1, -1).squeeze(0).to(at::kDouble), 0);
    EXPECT_NEAR(result.log_probabilities[i], log_p[result.tokens[i]].item<double>(), 1e-4);
    EXPECT_NEAR(result.loops[i], out.expected_loops.select(2, -1).mean().item<double>(), 1e-4);
    EXPECT_EQ(result.top[i][0].token, log_p.argmax().item<int64_t>());
    EXPECT_EQ(result.top[i].size(), 3U);
    read.push_back(result.tokens[i]);
  }
}

/// What a completion was told as it was written.
struct TokenTold {
  size_t tokens;
  std::string piece;
  size_t scores;
};

TEST(Generator, TellsEachTokenAsItIsDrawnWithTheScoresOfThePrompt) {
  const at::NoGradGuard no_grad;
  const auto tokenizer = Tokenizer::bytes();
  const auto model = random_model();
  Generator generator(model, tokenizer, {.batch_tokens = 2});  // the prompt takes several passes
  GenerateOptions options = greedy(3);
  options.sampling.logprobs = 4;
  auto request = generator.request_of("Ada Korin", options);
  request.score_from = 1;
  request.completions = 2;
  std::vector<std::vector<TokenTold>> told(2);
  std::vector<Generation> ended;
  const auto take = [&](const Generation& so_far, std::string_view piece) {
    told[static_cast<size_t>(so_far.completion)].push_back(
        {so_far.tokens.size(), std::string(piece), so_far.prompt_scores->size()});
    return true;
  };
  generator.add(request, {}, take);
  while (!generator.idle()) {
    for (auto& generation : generator.step()) {
      ended.push_back(std::move(generation));
    }
  }
  ASSERT_EQ(ended.size(), 2U);
  EXPECT_EQ(ended[0].prompt_scores, ended[1].prompt_scores);
  EXPECT_EQ(*ended[0].prompt, request.prompt);
  for (size_t c = 0; c < 2; ++c) {
    ASSERT_GE(told[c].size(), 3U);
    std::string text;
    for (size_t i = 0; i < told[c].size(); ++i) {
      EXPECT_EQ(told[c][i].tokens, std::min<size_t>(i + 1, 3));
      EXPECT_EQ(told[c][i].scores, 8U);
      text += told[c][i].piece;
    }
    EXPECT_EQ(text, ended[c].text);
  }
  std::vector<int64_t> ids(request.prompt.begin(), request.prompt.end());
  const auto logits = model.forward(at::tensor(ids, at::kLong).unsqueeze(0)).logits;
  const auto log_p = at::log_softmax(logits.squeeze(0).to(at::kDouble), 1);  // [T, V]
  for (size_t i = 0; i < 8; ++i) {
    const auto& scored = (*ended[0].prompt_scores)[i];
    const auto row = log_p[static_cast<int64_t>(i)];
    EXPECT_EQ(scored.place, static_cast<int64_t>(i) + 1);
    EXPECT_NEAR(scored.log_probability, row[ids[i + 1]].item<double>(), 1e-4);
    ASSERT_EQ(scored.top.size(), 4U);
    EXPECT_EQ(scored.top[0].token, row.argmax().item<int64_t>());
    EXPECT_NEAR(scored.top[0].log_probability, row.max().item<double>(), 1e-4);
    EXPECT_GE(scored.top[2].log_probability, scored.top[3].log_probability);
  }
}

TEST(Generator, TellsTheScoresOfAPromptThatIsNotContinued) {
  const auto tokenizer = Tokenizer::bytes();
  const auto model = random_model();
  Generator generator(model, tokenizer);
  auto request = generator.request_of("Ada", greedy(0));
  request.score_from = 1;
  std::vector<size_t> told;
  generator.add(request, {}, [&](const Generation& so_far, std::string_view piece) {
    EXPECT_EQ(piece, "");
    told.push_back(so_far.prompt_scores->size());
    return true;
  });
  EXPECT_EQ(generator.step().size(), 1U);
  EXPECT_EQ(told, std::vector<size_t>{2});
  EXPECT_TRUE(generator.idle());
}

TEST(Generator, CompletionsDifferAndTheFirstIsThatOfOne) {
  const auto tokenizer = Tokenizer::bytes();
  const auto model = random_model();
  Generator generator(model, tokenizer);
  GenerateOptions options;
  options.max_tokens = 20;
  const auto alone = generator.generate("The", options);
  generator.add("The", options, /*completions=*/3);
  std::vector<Generation> together;
  while (!generator.idle()) {
    for (auto& generation : generator.step()) {
      together.push_back(std::move(generation));
    }
  }
  std::sort(together.begin(), together.end(),
            [](const auto& a, const auto& b) { return a.completion < b.completion; });
  ASSERT_EQ(together.size(), 3U);
  EXPECT_EQ(together[0].tokens, alone.tokens);
  EXPECT_NE(together[1].tokens, alone.tokens);
  EXPECT_NE(together[1].tokens, together[2].tokens);
}

TEST(Generator, StopsBeforeAStopString) {
  const auto tokenizer = Tokenizer::bytes();
  const auto model = bigram_model(chain("helo "), bigram_config());
  auto options = greedy(20);
  options.stop = {"o h", "zz"};
  std::string streamed;
  const auto result =
      Generator(model, tokenizer).generate("he", options, [&](std::string_view piece) {
        streamed += piece;
        return true;
      });
  EXPECT_EQ(result.text, "l");
  EXPECT_EQ(streamed, "l");
  EXPECT_EQ(result.tokens, (std::vector<TokenId>{'l', 'o', ' ', 'h'}));
  EXPECT_EQ(result.text_offsets, (std::vector<int64_t>{0, 1, 1, 1}));
  EXPECT_EQ(result.stop_reason, StopReason::kStopString);
  EXPECT_EQ(result.stop_string, "o h");
}

TEST(Generator, APromptMayBeTokens) {
  const auto tokenizer = Tokenizer::bytes();
  const auto model = bigram_model(chain("helo "), bigram_config());
  Generator generator(model, tokenizer);
  EXPECT_EQ(generator.generate(std::vector<TokenId>{'h', 'e'}, greedy(4)).text, "lo h");
  expect_contains(
      error_of(ErrorCode::kConfig,
               [&] { (void)generator.generate(std::vector<TokenId>{257}, greedy(4)); }),
      "generate: expected ids from 0 to 256 (vocab_size 257), got 257 at place 0 of the "
      "prompt.");
}

TEST(Generator, StopsAtTheEndOfText) {
  auto table = chain("ab");
  const auto tokenizer = Tokenizer::bytes();
  table[tokenizer.end_of_text()]['b'] = 90.0;
  const auto model = bigram_model(table, bigram_config());
  const auto result = Generator(model, tokenizer).generate("a", greedy(20));
  EXPECT_EQ(result.text, "b");
  EXPECT_EQ(result.stop_reason, StopReason::kEndOfText);
  EXPECT_EQ(result.tokens.size(), 1U);
  ASSERT_TRUE(result.end_token.has_value());
  EXPECT_EQ(result.end_token->draw.token, tokenizer.end_of_text());
  EXPECT_NEAR(result.end_token->draw.log_probability, 0.0, 1e-6);
  EXPECT_EQ(result.end_token->loops, 1.0);
}

TEST(Generator, StopsWhereTheModelCanReadNoMore) {
  const auto tokenizer = Tokenizer::bytes();
  const auto model = bigram_model(chain("ab"), bigram_config(/*max_length=*/6));
  const auto result = Generator(model, tokenizer).generate("abab", greedy(20));
  EXPECT_EQ(result.text, "aba");  // two read, and the one behind them
  EXPECT_EQ(result.stop_reason, StopReason::kContextFull);
  EXPECT_FALSE(result.end_token.has_value());
}

TEST(Generator, AnEmptyPromptStartsANewText) {
  const auto tokenizer = Tokenizer::bytes();
  auto table = chain("xy");
  table['x'][tokenizer.end_of_text()] = 50.0;
  const auto model = bigram_model(table, bigram_config());
  const auto result = Generator(model, tokenizer).generate("", greedy(3));
  EXPECT_EQ(result.text, "xyx");
  EXPECT_EQ(result.prompt_tokens, 1);
}

TEST(Generator, HoldsBackTheBeginningOfACharacter) {
  const auto tokenizer = Tokenizer::bytes();
  const auto model = bigram_model(chain("\xE2\x82\xAC"), bigram_config());
  std::vector<std::string> pieces;
  const auto result =
      Generator(model, tokenizer).generate("\xE2\x82\xAC", greedy(7), [&](std::string_view piece) {
        pieces.emplace_back(piece);
        return true;
      });
  EXPECT_EQ(pieces, (std::vector<std::string>{"\xE2\x82\xAC", "\xE2\x82\xAC", "\xEF\xBF\xBD"}));
  EXPECT_EQ(result.text, "\xE2\x82\xAC\xE2\x82\xAC\xEF\xBF\xBD");
}

TEST(Generator, TheCallerCanStop) {
  const auto tokenizer = Tokenizer::bytes();
  const auto model = bigram_model(chain("ab"), bigram_config());
  const auto result =
      Generator(model, tokenizer).generate("a", greedy(20), [](std::string_view) { return false; });
  EXPECT_EQ(result.text, "b");
  EXPECT_EQ(result.stop_reason, StopReason::kCancelled);
}

TEST(Generator, PaddingOfTheVocabularyIsNeverDrawn) {
  auto config = bigram_config();
  config.vocab_size = 258;  // one id more than the tokenizer knows
  auto table = at::zeros({258, 258});
  table[257].fill_(90.0);
  const auto tokenizer = Tokenizer::bytes();
  const auto model = bigram_model(table, config);
  const auto result = Generator(model, tokenizer).generate("a", greedy(5));
  EXPECT_EQ(result.tokens.size(), 5U);
}

TEST(Generator, MeanLoopsFollowTheBudget) {
  const auto tokenizer = Tokenizer::bytes();
  const auto model = bigram_model(chain("ab"), bigram_config(64, /*loops=*/3));
  auto options = greedy(5);
  EXPECT_NEAR(Generator(model, tokenizer).generate("a", options).mean_loops, 1.75, 1e-5);
  options.inference.max_loops = 2;
  EXPECT_NEAR(Generator(model, tokenizer).generate("a", options).mean_loops, 1.5, 1e-5);
}

TEST(Generator, MistakesAreNamed) {
  const auto tokenizer = Tokenizer::bytes();
  const auto model = bigram_model(chain("ab"), bigram_config(/*max_length=*/6));
  Generator generator(model, tokenizer);
  expect_contains(
      error_of(ErrorCode::kConfig, [&] { (void)generator.generate("abababab", greedy(1)); }),
      "expected a prompt of at most 6 tokens (max_position_embeddings), got 8. Shorten the prompt");
  auto options = greedy(1);
  options.inference.max_loops = 2;
  expect_contains(error_of(ErrorCode::kConfig, [&] { (void)generator.generate("a", options); }),
                  "generate: \"max_loops\" expects a loop budget from 1 to 1, or 0 for each "
                  "layer's own N, got 2.");
  expect_contains(
      error_of(ErrorCode::kConfig, [&] { (void)generator.generate("a", greedy(-1)); }),
      "generate: \"max_tokens\" expects a whole number of 0 or more, got -1. Nearest: 0.");
}

}  // namespace
}  // namespace loopbank
