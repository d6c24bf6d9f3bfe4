#include "loopbank/dissect/scored_text.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "memory_model.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;

constexpr TokenId kEnd = 256;

TEST(ScoredText, EveryTokenIsReadAndTheNextPredicted) {
  const auto text = scored_text_of(testing::ids_of("abcdefg"), Tokenizer::bytes(), 4);
  ASSERT_EQ(text.rows.size(), 2U);
  EXPECT_EQ(text.num_tokens(), 6);
  EXPECT_EQ(text.num_bytes, 6);
  EXPECT_TRUE(at::equal(text.rows[0].tokens, at::arange('a', 'e').view({1, 4})));
  EXPECT_TRUE(at::equal(text.rows[0].targets, at::arange('b', 'f').view({1, 4})));
  EXPECT_EQ(text.rows[1].first, 4);
  EXPECT_TRUE(at::equal(text.rows[1].tokens, at::arange('e', 'g').view({1, 2})));
  EXPECT_TRUE(at::equal(text.rows[1].targets, at::arange('f', 'h').view({1, 2})));
}

TEST(ScoredText, DocumentsEndWithEndOfTextThatHasNoBytes) {
  const TestDirectory directory;
  const auto path = directory.write("t.jsonl", "{\"text\": \"ab\"}\nbroken\n{\"text\": \"cd\"}\n");
  const auto text = read_scored_text(path, Tokenizer::bytes(), 100, 8, {.skip = 1});
  EXPECT_EQ(text.ids, (std::vector<TokenId>{'a', 'b', kEnd, 'c', 'd', kEnd}));
  EXPECT_EQ(text.num_bytes, 3);
  EXPECT_EQ(text.num_skipped, 1);
}

TEST(ScoredText, NoMoreThanWantedIsRead) {
  const TestDirectory directory;
  const auto path = directory.write("t.txt", std::string(100000, 'x'));
  const auto text = read_scored_text(path, Tokenizer::bytes(), 10, 4);
  EXPECT_EQ(text.num_tokens(), 10);
  EXPECT_EQ(text.rows.size(), 3U);
}

TEST(ScoredText, BitsAByteAreThoseOfTheProbabilities) {
  const auto table = testing::random_table();
  const auto model = testing::bigram_model(table, testing::bigram_config());
  const auto text = scored_text_of(testing::ids_of("some words to score"), Tokenizer::bytes(), 7);
  std::vector<double> nats;
  for (const auto& row : text.rows) {
    nats.push_back(nats_of(model, row, {}));
  }
  const double expected = testing::bigram_log_probability(table, 's', "ome words to score");
  EXPECT_NEAR(bits_per_byte(nats, text), -expected / std::log(2.0) / 18.0, 1e-4);
}

TEST(ScoredText, ATextTooShortIsRefused) {
  const TestDirectory directory;
  const auto message = [&](const std::string& name, const std::string& content) {
    const auto path = directory.write(name, content);
    return error_of(ErrorCode::kData,
                    [&] { (void)read_scored_text(path, Tokenizer::bytes(), 10, 4); });
  };
  expect_contains(message("empty.txt", ""), "expected at least 2 tokens");
  expect_contains(message("empty.txt", ""), "empty.txt: ");
  expect_contains(message("none.jsonl", "\n"), "got 0");
  expect_contains(error_of(ErrorCode::kData,
                           [] {
                             (void)scored_text_of({'a', kEnd}, Tokenizer::bytes(), 4);
                           }),
                  "got end of text alone");
}

}  // namespace
}  // namespace loopbank
