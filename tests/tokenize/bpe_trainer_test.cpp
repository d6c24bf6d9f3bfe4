#include "loopbank/tokenize/bpe_trainer.h"

#include <gtest/gtest.h>

#include <map>

#include "loopbank/support/random.h"
#include "tests/support/test_directory.h"
#include "tests/tokenize/small_tokenizer.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::pieces;
using testing::TestDirectory;
using Tokens = std::vector<std::string>;

Tokenizer train(const Tokens& documents, const TokenizerTrainingOptions& options) {
  size_t next = 0;
  return train_bpe(
      [&](std::string& document) {
        if (next == documents.size()) {
          return false;
        }
        document = documents[next++];
        return true;
      },
      options);
}

/// The tokens that were learnt, in order.
Tokens learnt(const Tokenizer& tokenizer) {
  Tokens tokens;
  for (TokenId id = 256; id < tokenizer.end_of_text(); ++id) {
    tokens.emplace_back(tokenizer.token_bytes(id));
  }
  return tokens;
}

/// Training as its definition says: count every pair again after each merge. Words are lines.
Tokens train_by_definition(const Tokens& words, size_t num_merges) {
  std::vector<std::vector<int>> texts;
  Tokens tokens;
  for (int byte = 0; byte < 256; ++byte) {
    tokens.emplace_back(1, static_cast<char>(byte));
  }
  for (const auto& word : words) {
    texts.emplace_back();
    for (const char byte : word) {
      texts.back().push_back(static_cast<unsigned char>(byte));
    }
  }
  while (tokens.size() < 256 + num_merges) {
    std::map<std::pair<int, int>, int> counts;
    for (const auto& text : texts) {
      for (size_t i = 0; i + 1 < text.size(); ++i) {
        ++counts[{text[i], text[i + 1]}];
      }
    }
    auto best = counts.begin();
    for (auto pair = counts.begin(); pair != counts.end(); ++pair) {
      best = pair->second > best->second ? pair : best;
    }
    const auto [left, right] = best->first;
    const auto token = tokens[static_cast<size_t>(left)] + tokens[static_cast<size_t>(right)];
    const auto known = std::find(tokens.begin(), tokens.end(), token);
    const auto merged = static_cast<int>(known - tokens.begin());
    if (known == tokens.end()) {
      tokens.push_back(token);
    }
    for (auto& text : texts) {
      for (size_t i = 0; i + 1 < text.size(); ++i) {
        if (text[i] == left && text[i + 1] == right) {
          text[i] = merged;
          text.erase(text.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        }
      }
    }
  }
  return {tokens.begin() + 256, tokens.end()};
}

TEST(TrainBpe, MergesThePairsMetMostOften) {
  // By hand: ab stands 5 times, then abc 4 times, then abc behind a space twice.
  const auto tokenizer = train({"abc abc", "abc abc ab"}, {.vocab_size = 256 + 3 + 1});
  EXPECT_EQ(learnt(tokenizer), (Tokens{"ab", "abc", " abc"}));
  EXPECT_EQ(pieces(tokenizer, "abc abc ab"), (Tokens{"abc", " abc", " ", "ab"}));
}

TEST(TrainBpe, EqualsCountingAgainAfterEveryMerge) {
  RandomStream random(21);
  Tokens words;
  for (int i = 0; i < 120; ++i) {
    std::string word;
    const auto length = random.between(1, 30);
    for (int64_t j = 0; j < length; ++j) {
      word.push_back(static_cast<char>('a' + random.below(1 + random.below(4))));
    }
    words.push_back(word);
  }
  words.push_back("aaaaaaaaaaaaa");
  const size_t num_merges = 150;
  const auto tokenizer =
      train(words, {.vocab_size = static_cast<int64_t>(257 + num_merges), .min_frequency = 1});
  EXPECT_EQ(learnt(tokenizer), train_by_definition(words, num_merges));
}

TEST(TrainBpe, OfPairsMetEquallyOftenTheLowestIdsComeFirst) {
  const auto tokenizer = train({"dc", "ab", "ba"}, {.vocab_size = 259, .min_frequency = 1});
  EXPECT_EQ(learnt(tokenizer), (Tokens{"ab", "ba"}));
}

TEST(TrainBpe, TheOrderOfTheDocumentsDoesNotMatter) {
  const Tokens documents = {"the cat sat", "on the mat", "that the cat had", "12 12 12"};
  const Tokens reversed(documents.rbegin(), documents.rend());
  const TokenizerTrainingOptions options{.vocab_size = 280};
  EXPECT_EQ(train(documents, options).hash(), train(reversed, options).hash());
}

TEST(TrainBpe, PairsBelowTheMinimumFrequencyAreLeft) {
  const auto tokenizer = train({"abab", "xy"}, {.vocab_size = 1000, .min_frequency = 2});
  EXPECT_EQ(learnt(tokenizer), (Tokens{"ab"}));
  EXPECT_EQ(tokenizer.vocab_size(), 258);
  EXPECT_EQ(tokenizer.end_of_text(), 257);
}

TEST(TrainBpe, DigitsStayAloneWhereAskedFor) {
  const Tokens documents(20, "2024 and 2025 and 2024 \u0663\u0663");
  const auto joined = train(documents, {.vocab_size = 300});
  EXPECT_EQ(pieces(joined, " 2024"), (Tokens{" 2024"}));
  const auto alone = train(documents, {.vocab_size = 300, .individual_digits = true});
  EXPECT_EQ(pieces(alone, " 2024"), (Tokens{" ", "2", "0", "2", "4"}));
  EXPECT_EQ(pieces(alone, "\u0663\u0663"), (Tokens{"\u0663", "\u0663"}));
  const TestDirectory directory;
  alone.save(directory.path() / "tokenizer.json");
  const auto again = Tokenizer::load(directory.path());
  EXPECT_EQ(again.hash(), alone.hash());
  EXPECT_EQ(pieces(again, " 2024"), (Tokens{" ", "2", "0", "2", "4"}));
}

TEST(TrainBpe, TextThatIsNotUtf8AndVeryLongWordsAreTaken) {
  const auto tokenizer =
      train({std::string(100'000, 'a'), "\xFF\xFE\xFF\xFE ab \xFF", ""}, {.vocab_size = 300});
  EXPECT_EQ(learnt(tokenizer).front(), "aa");
  EXPECT_EQ(learnt(tokenizer).back(), std::string(kMaxTrainingWordBytes, 'a'));
  std::string text(300, 'a');
  text.insert(0, "\xFF\xFE");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
}

TEST(TrainBpe, ReportsItsProgress) {
  std::vector<int64_t> reports;
  (void)train(Tokens(600, "a bb ccc dddd eeeee abcde edcba abab cdcd bcde"),
              {.vocab_size = 1000, .on_progress = [&](int64_t n) { reports.push_back(n); }});
  ASSERT_GE(reports.size(), 2U);
  EXPECT_EQ(reports[0], 0);
  EXPECT_EQ(reports[1], 0);
  EXPECT_TRUE(std::is_sorted(reports.begin(), reports.end()));
}

TEST(TrainBpe, OptionsOutOfRangeAndNoDocumentsAreRefused) {
  expect_contains(error_of(ErrorCode::kConfig, [] { (void)train({"a"}, {.vocab_size = 256}); }),
                  "expected a vocab_size from 257 (the bytes and <|endoftext|>) to 16777216, got "
                  "256.");
  expect_contains(error_of(ErrorCode::kConfig,
                           [] { (void)train({"a"}, {.vocab_size = 300, .min_frequency = 0}); }),
                  "expected a min_frequency of at least 1, got 0.");
  expect_contains(error_of(ErrorCode::kData, [] { (void)train({}, {.vocab_size = 300}); }),
                  "expected at least one document, got none.");
}

}  // namespace
}  // namespace loopbank
