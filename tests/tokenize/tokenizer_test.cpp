#include "loopbank/tokenize/tokenizer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "loopbank/support/random.h"
#include "tests/support/test_directory.h"
#include "tests/tokenize/small_tokenizer.h"

namespace loopbank {
namespace {

using testing::added_token;
using testing::byte_level;
using testing::content_of;
using testing::error_of;
using testing::expect_contains;
using testing::Json;
using testing::merge_by_definition;
using testing::overlapping_merges;
using testing::pieces;
using testing::sequence;
using testing::small_tokenizer;
using testing::TestDirectory;
using Pieces = std::vector<std::string>;

const std::filesystem::path kGpt2 =
    std::filesystem::path(LOOPBANK_SOURCE_DIR) / "../shared/data/tokenizer/gpt2";

Tokenizer load(const TestDirectory& directory, const Json& json) {
  return Tokenizer::load(directory.write("tokenizer.json", json.dump()));
}

Tokenizer load(const Json& json) {
  const TestDirectory directory;
  return load(directory, json);
}

std::string random_bytes(RandomStream& random, int64_t max_length) {
  // Half of them from a few signs that merge and nearly form UTF-8, half from all bytes.
  static const std::string kFew = "abc abc  \n\xC3\xA9\xE2\x82\xAC\xF0\x9F'st19";
  std::string text;
  const auto length = random.between(0, max_length);
  const bool any = random.below(2) == 0;
  for (int64_t i = 0; i < length; ++i) {
    text.push_back(any ? static_cast<char>(random.below(256)) : kFew[random.below(kFew.size())]);
  }
  return text;
}

class Gpt2 : public ::testing::TestWithParam<const char*> {};

TEST_P(Gpt2, GivesTheGoldenIdsAndTheTextBack) {
  std::ifstream golden(kGpt2 / "golden.jsonl");
  if (!golden) {
    GTEST_SKIP() << "no golden ids at " << kGpt2;
  }
  const auto tokenizer = Tokenizer::load(kGpt2 / GetParam());
  EXPECT_EQ(tokenizer.vocab_size(), 50257);
  EXPECT_EQ(tokenizer.end_of_text(), 50256);
  size_t num_rows = 0;
  size_t num_ids = 0;
  for (std::string line; std::getline(golden, line);) {
    const auto row = Json::parse(line);
    const auto text = row["text"].get<std::string>();
    const auto ids = row["ids"].get<std::vector<TokenId>>();
    ASSERT_EQ(tokenizer.encode(text), ids) << text;
    ASSERT_EQ(tokenizer.decode(ids), text);
    ++num_rows;
    num_ids += ids.size();
  }
  EXPECT_EQ(num_rows, 538U);
  EXPECT_EQ(num_ids, 29661U);
}

INSTANTIATE_TEST_SUITE_P(Files, Gpt2, ::testing::Values("tokenizer.json", "tokenizer.legacy.json"),
                         [](const auto& item) {
                           return std::string(item.index == 0 ? "Current" : "Legacy");
                         });

TEST(Tokenizer, MergesTheLowestRankFirstAndNotTheLongest) {
  const auto tokenizer = load(small_tokenizer({{"b", "c"}, {"a", "b"}, {"ab", "c"}}));
  EXPECT_EQ(pieces(tokenizer, "abc"), (Pieces{"a", "bc"}));
  EXPECT_EQ(pieces(tokenizer, "abab"), (Pieces{"ab", "ab"}));
  EXPECT_EQ(tokenizer.encode("bc"), (std::vector<TokenId>{256}));
}

TEST(Tokenizer, AWordThatIsATokenIsTakenWholeWhereMergesAreIgnored) {
  auto json = small_tokenizer({{"a", "b"}});
  json["model"]["vocab"]["abc"] = 258;
  EXPECT_EQ(pieces(load(json), "abc abc"), (Pieces{"ab", "c", " ", "ab", "c"}));
  json["model"]["ignore_merges"] = true;
  EXPECT_EQ(pieces(load(json), "abc abc"), (Pieces{"abc", " ", "ab", "c"}));
}

TEST(Tokenizer, WordsOfEveryLengthMergeAsDefined) {
  const auto merges = overlapping_merges();
  const auto tokenizer = load(small_tokenizer(merges));
  RandomStream random(11);
  for (int length = 1; length <= 300; ++length) {
    std::string word;
    while (word.size() < static_cast<size_t>(length)) {
      word.push_back(static_cast<char>('a' + random.below(3)));
    }
    ASSERT_EQ(pieces(tokenizer, word), merge_by_definition(word, merges)) << word;
  }
}

TEST(Tokenizer, AWordOfAMegabyteTakesNoQuadraticTime) {
  const auto tokenizer = load(small_tokenizer(overlapping_merges()));
  RandomStream random(12);
  std::string word(1'000'000, 'a');
  for (size_t i = word.size() / 2; i < word.size(); ++i) {
    word[i] = static_cast<char>('a' + random.below(3));
  }
  const auto started = std::chrono::steady_clock::now();
  const auto ids = tokenizer.encode(word);
  const auto time = std::chrono::steady_clock::now() - started;
  EXPECT_EQ(tokenizer.decode(ids), word);
  EXPECT_EQ(std::string(tokenizer.token_bytes(ids[0])), "aaaa");
  // 10^12 steps would take many minutes; 0.2 s were measured.
  EXPECT_LT(std::chrono::duration<double>(time).count(), 10.0);
}

TEST(Tokenizer, EveryByteStringComesBack) {
  std::vector<Tokenizer> tokenizers;
  tokenizers.push_back(Tokenizer::bytes());
  tokenizers.push_back(load(small_tokenizer(overlapping_merges())));
  auto digits = small_tokenizer({{" ", "a"}, {"\xC3", "\xA9"}, {"\xE2", "\x82"}});
  digits["pre_tokenizer"] =
      sequence({{{"type", "Digits"}, {"individual_digits", true}}, byte_level()});
  tokenizers.push_back(load(digits));
  RandomStream random(13);
  for (int i = 0; i < 3000; ++i) {
    const auto text = random_bytes(random, 80);
    for (const auto& tokenizer : tokenizers) {
      ASSERT_EQ(tokenizer.decode(tokenizer.encode(text)), text)
          << Json(text).dump(-1, ' ', true, Json::error_handler_t::replace);
    }
  }
}

TEST(Tokenizer, BytesThatAreNotUtf8AreTokensOfTheirOwn) {
  // C3 A9 is e with an acute accent; the merge of A9 with C3 never joins two broken characters.
  const auto tokenizer = load(small_tokenizer({{"\xC3", "\xA9"}, {"\xA9", "\xC3"}, {"a", "b"}}));
  EXPECT_EQ(pieces(tokenizer, "\xA9\xC3\xA9\xC3"), (Pieces{"\xA9", "\xC3\xA9", "\xC3"}));
  EXPECT_EQ(pieces(tokenizer, "\xA9\xC3"), (Pieces{"\xA9", "\xC3"}));
  EXPECT_EQ(pieces(tokenizer,
                   "ab\xFF"
                   "ab"),
            (Pieces{"ab", "\xFF", "ab"}));
}

TEST(Tokenizer, RepeatedWordsGiveTheSameIdsInEveryThread) {
  const auto tokenizer = load(small_tokenizer(overlapping_merges()));
  RandomStream random(14);
  std::string text;  // words of 1 to 40 letters: shorter and longer than the cache holds
  for (int i = 0; i < 3000; ++i) {
    const auto seed = random.below(200);
    RandomStream letters(seed);
    const auto length = letters.between(1, 40);
    for (int64_t j = 0; j < length; ++j) {
      text.push_back(static_cast<char>('a' + letters.below(3)));
    }
    text.push_back('\n');
  }
  const auto expected = load(small_tokenizer(overlapping_merges())).encode(text);
  std::vector<std::vector<TokenId>> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&] {
      for (int repeat = 0; repeat < 5; ++repeat) {
        result = tokenizer.encode(text);
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  for (const auto& result : results) {
    EXPECT_EQ(result, expected);
  }
  EXPECT_EQ(tokenizer.decode(expected), text);
}

TEST(Tokenizer, SpecialTokensAreTextUnlessAskedFor) {
  auto json = small_tokenizer({});
  json["added_tokens"].push_back(added_token(257, "<|end"));
  const auto tokenizer = load(json);
  const std::string text = "a<|endoftext|><|end|";
  EXPECT_EQ(tokenizer.encode(text).size(), text.size());
  EXPECT_EQ(pieces(tokenizer, text, true), (Pieces{"a", "<|endoftext|>", "<|end", "|"}));
  EXPECT_EQ(tokenizer.encode("<|endoftext|>", true), (std::vector<TokenId>{256}));
  EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{97, 256}), "a<|endoftext|>");
}

TEST(Tokenizer, AddedTokensThatAreNotSpecialAreAlwaysFound) {
  auto json = small_tokenizer({{"a", "b"}});
  json["added_tokens"].push_back(added_token(258, "b  ", false));
  const auto tokenizer = load(json);
  EXPECT_EQ(pieces(tokenizer, "ab  ab"), (Pieces{"a", "b  ", "ab"}));
  EXPECT_EQ(pieces(tokenizer, "b  <|endoftext|>").size(), 1 + std::string("<|endoftext|>").size());
}

TEST(Tokenizer, TheTokenBetweenDocumentsHasAUsualName) {
  auto json = small_tokenizer({});
  json["added_tokens"].push_back(added_token(257, "</s>"));
  EXPECT_EQ(load(json).end_of_text(), 256);
  json["added_tokens"].erase(0);
  EXPECT_EQ(load(json).end_of_text(), 257);
  json["added_tokens"].clear();
  const auto tokenizer = load(json);
  expect_contains(
      error_of(ErrorCode::kData, [&] { (void)tokenizer.end_of_text(); }),
      "expected an added token <|endoftext|>, </s>, <eos>, <|end_of_text|>, <|im_end|> or an "
      "eos_token in tokenizer_config.json, got none of them among 0 added tokens.");
}

TEST(Tokenizer, TheByteTokenizerCountsBytes) {
  const auto tokenizer = Tokenizer::bytes();
  EXPECT_EQ(tokenizer.vocab_size(), 257);
  EXPECT_EQ(tokenizer.end_of_text(), 256);
  EXPECT_EQ(tokenizer.encode(std::string("\0 a\xFF", 4)), (std::vector<TokenId>{0, 32, 97, 255}));
  EXPECT_TRUE(tokenizer.encode("").empty());
}

TEST(Tokenizer, IdsOutsideTheVocabularyAreRefusedWithTheirValue) {
  const auto tokenizer = Tokenizer::bytes();
  for (const TokenId id : {-1, 257}) {
    EXPECT_EQ(error_of(ErrorCode::kData,
                       [&] {
                         (void)tokenizer.decode(std::vector<TokenId>{97, id});
                       }),
              fmt::format("tokenizer: expected ids in [0, 257), got {}.", id));
  }
}

/// Tokenizers that differ in everything that a file can say.
std::vector<Json> variants() {
  std::vector<Json> list(8, small_tokenizer({{" ", "a"}, {"a", "b"}, {" a", "b"}, {"1", "2"}}));
  list[1]["pre_tokenizer"] = byte_level(true);
  list[2]["pre_tokenizer"] = byte_level(false, false);
  list[3]["pre_tokenizer"] =
      sequence({{{"type", "Digits"}, {"individual_digits", true}}, byte_level()});
  list[4]["pre_tokenizer"] = sequence({{{"type", "Split"},
                                        {"pattern", {{"Regex", "b\\s?"}}},
                                        {"behavior", "Isolated"},
                                        {"invert", false}},
                                       byte_level()});
  list[5]["model"]["ignore_merges"] = true;
  list[6]["added_tokens"].push_back(added_token(261, "\u4E00", false));
  std::swap(list[7]["model"]["merges"][0], list[7]["model"]["merges"][1]);
  return list;
}

TEST(Tokenizer, SavingKeepsEveryIdAndTheHash) {
  const TestDirectory directory;
  const auto path = directory.path() / "saved.json";
  RandomStream random(15);
  for (const auto& variant : variants()) {
    const auto tokenizer = load(variant);
    tokenizer.save(path);
    const auto again = Tokenizer::load(path);
    EXPECT_EQ(again.hash(), tokenizer.hash());
    EXPECT_EQ(again.vocab_size(), tokenizer.vocab_size());
    EXPECT_EQ(Json::parse(content_of(path))["model"]["vocab"], variant["model"]["vocab"]);
    for (int i = 0; i < 200; ++i) {
      const auto text = random_bytes(random, 60) + "<|endoftext|> ab12\u4E00";
      ASSERT_EQ(again.encode(text), tokenizer.encode(text));
      ASSERT_EQ(again.encode(text, true), tokenizer.encode(text, true));
    }
  }
  EXPECT_EQ(directory.names(), (std::vector<std::string>{"saved.json"}));
}

TEST(Tokenizer, TheByteTokenizerIsReadBackFromItsFolder) {
  const TestDirectory directory;
  Tokenizer::bytes().save(directory.path() / "tokenizer.json");
  const auto again = Tokenizer::load(directory.path());
  EXPECT_EQ(again.hash(), Tokenizer::bytes().hash());
  EXPECT_EQ(again.encode("a\xFF"), (std::vector<TokenId>{97, 255}));
}

TEST(Tokenizer, TheHashTellsApartWhatGivesOtherIdsAndNothingElse) {
  std::vector<std::string> hashes;
  for (const auto& variant : variants()) {
    hashes.push_back(load(variant).hash());
    EXPECT_EQ(hashes.back().size(), 16U);
    EXPECT_EQ(hashes.back().find_first_not_of("0123456789abcdef"), std::string::npos);
  }
  auto sorted = hashes;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(std::unique(sorted.begin(), sorted.end()), sorted.end()) << "two hashes are equal";

  auto pairs = small_tokenizer({{" ", "a"}, {"a", "b"}, {" a", "b"}, {"1", "2"}});
  for (auto& merge : pairs["model"]["merges"]) {
    const auto text = merge.get<std::string>();
    const auto space = text.find(' ');
    merge = {text.substr(0, space), text.substr(space + 1)};
  }
  pairs["model"].erase("type");
  pairs["pre_tokenizer"].erase("use_regex");
  EXPECT_EQ(load(pairs).hash(), hashes[0]);
}

}  // namespace
}  // namespace loopbank
