/// Parts of whole tokenizers: texts behind others, tokens of all kinds, hashes.

#include <gtest/gtest.h>

#include <algorithm>

#include "loopbank/tokenize/normalizer.h"
#include "tests/support/test_directory.h"
#include "tests/tokenize/small_tokenizer.h"

namespace loopbank {
namespace {

using testing::added_token;
using testing::byte_level;
using testing::error_of;
using testing::Json;
using testing::sequence;
using testing::small_tokenizer;

Tokenizer read_tokenizer(const Json& json) {
  const testing::TestDirectory directory;
  return Tokenizer::load(directory.write("tokenizer.json", json.dump()));
}

TEST(TokenizerParts, HashesOfEarlierVersionsStay) {
  // Token files on disk carry them.
  auto json = small_tokenizer({{"a", "b"}, {"ab", "c"}});
  json["added_tokens"][0]["normalized"] = true;
  EXPECT_EQ(read_tokenizer(json).hash(), "c6bc7f409af190a3");
  json["pre_tokenizer"] = sequence({{{"type", "Digits"}, {"individual_digits", true}},
                                    {{"type", "Split"},
                                     {"pattern", {{"Regex", "b\\s?"}}},
                                     {"behavior", "Isolated"},
                                     {"invert", false}},
                                    byte_level(true, false)});
  json["model"]["ignore_merges"] = true;
  json["added_tokens"].push_back(added_token(259, "<x>", false));
  json["added_tokens"][0]["normalized"] = false;
  EXPECT_EQ(read_tokenizer(json).hash(), "04a05b09c62e3d84");
  EXPECT_EQ(Tokenizer::bytes().hash(), "37f2580726e4e66c");
}

TEST(TokenizerParts, TheHashTellsApartWhatOtherPartsDecide) {
  std::vector<Json> variants(8, small_tokenizer({{"a", "b"}}));
  variants[1]["normalizer"] = {{"type", "NFC"}};
  variants[2]["normalizer"] = {{"type", "NFD"}};
  variants[3]["added_tokens"][0]["lstrip"] = true;
  variants[4]["added_tokens"][0]["single_word"] = true;
  variants[5]["pre_tokenizer"] = nullptr;
  variants[6]["pre_tokenizer"] = nullptr;
  variants[6]["model"]["unk_token"] = "a";
  variants[7]["post_processor"] = {
      {"type", "BertProcessing"}, {"cls", {"a", 1}}, {"sep", {"b", 2}}};
  std::vector<std::string> hashes;
  for (const auto& variant : variants) {
    hashes.push_back(read_tokenizer(variant).hash());
  }
  std::sort(hashes.begin(), hashes.end());
  EXPECT_EQ(std::unique(hashes.begin(), hashes.end()), hashes.end()) << "two hashes are equal";
}

TEST(TokenizerParts, ATextBehindASpecialTokenHasNoFirstPiece) {
  auto json = small_tokenizer({});
  json["pre_tokenizer"] = sequence(
      {{{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "first"}, {"split", true}},
       byte_level(false, false)});
  const auto tokenizer = read_tokenizer(json);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("a<|endoftext|>b", true)), "_a<|endoftext|>b");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("b")), "_b");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode_behind("b")), "b");
}

TEST(TokenizerParts, TheFirstTokenBehindSpecialOnesBeginsTheText) {
  auto json = small_tokenizer({});
  json["decoder"] = {{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "always"}};
  const auto tokenizer = read_tokenizer(json);
  const std::vector<TokenId> special = {256};
  const std::vector<TokenId> text = {256, 'a'};
  EXPECT_TRUE(tokenizer.is_special(256));
  EXPECT_FALSE(tokenizer.is_special('a'));
  EXPECT_EQ(tokenizer.token_bytes('_'), " ");
  EXPECT_EQ(tokenizer.first_token_bytes('_'), "");
  EXPECT_EQ(tokenizer.token_bytes_behind({}, '_'), "");
  EXPECT_EQ(tokenizer.token_bytes_behind(special, '_'), "");
  EXPECT_EQ(tokenizer.token_bytes_behind(text, '_'), " ");
  EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{'_', 'a', '_'}), "a ");
}

TEST(TokenizerParts, BytesWithoutATokenThatAreNoUtf8BecomeReplacementCharacters) {
  auto json = small_tokenizer({});
  json["model"]["vocab"].erase("\u00FF");
  json["model"]["vocab"]["qq"] = 0xFF;
  const auto tokenizer = read_tokenizer(json);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("a\xFF\xFE")), "a\uFFFD\xFE");
}

TEST(TokenizerParts, AVocabularyOfCharactersReadsBrokenTextAsReplacementCharacters) {
  auto json = small_tokenizer({});
  json["pre_tokenizer"] = nullptr;
  json["model"]["vocab"] = {{"a", 0}, {"\uFFFD", 1}, {"<|endoftext|>", 2}};
  EXPECT_EQ(read_tokenizer(json).encode("a\xFF\xC3"), (std::vector<TokenId>{0, 1, 1}));
}

TEST(TokenizerParts, NormalizersLeaveBytesThatAreNoUtf8) {
  auto json = small_tokenizer({});
  json["normalizer"] = {{"type", "Lowercase"}};
  const auto tokenizer = read_tokenizer(json);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("A\xC9Z\xC3\x89")), "a\xC9z\xC3\xA9");
}

TEST(TokenizerParts, WhatATextStartsWithIsKnownOrRefused) {
  const auto starts = [](std::vector<NormalizerStep> steps) {
    return Normalizer(std::move(steps)).tells_start();
  };
  using Kind = NormalizerStep::Kind;
  const NormalizerStep prepend{.kind = Kind::kPrepend, .content = "ab"};
  const NormalizerStep space{
      .kind = Kind::kReplace, .pattern = " ", .pattern_is_text = true, .content = "_"};
  const NormalizerStep any{.kind = Kind::kReplace, .pattern = "b*"};
  EXPECT_TRUE(starts({}));
  EXPECT_TRUE(starts({any}));
  EXPECT_TRUE(starts({prepend, space}));
  EXPECT_TRUE(starts({{.kind = Kind::kStrip}, {.kind = Kind::kNfc}}));
  EXPECT_FALSE(starts({prepend, any}));
  EXPECT_FALSE(starts({{.kind = Kind::kNfkd}, {.kind = Kind::kStrip}}));
  EXPECT_FALSE(starts({prepend, {.kind = Kind::kStripAccents}}));

  Regex::Matcher matcher;
  EXPECT_TRUE(Normalizer({any}).apply("ab", matcher).starts_same);
  EXPECT_FALSE(Normalizer({any}).apply("ba", matcher).starts_same);
  EXPECT_TRUE(Normalizer({space}).apply(" a", matcher).starts_same);
  EXPECT_FALSE(Normalizer({{.kind = Kind::kStrip}}).apply(" a", matcher).starts_same);
}

TEST(TokenizerParts, AReplacementOfNothingAtTheStartIsRefused) {
  auto json = small_tokenizer({});
  json["normalizer"] = {{"type", "Replace"}, {"pattern", {{"Regex", "c*"}}}, {"content", "-"}};
  const auto tokenizer = read_tokenizer(json);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("cab")), "-a-b-");
  EXPECT_EQ(
      error_of(ErrorCode::kData, [&] { (void)tokenizer.encode("abc"); }),
      "normalizer: expected a pattern whose matches hold a character, got one of nothing at the "
      "start of a text: it is not supported.");
}

TEST(TokenizerParts, AnUnknownTokenOutsideTheVocabularyIsToldWhereItIsNeeded) {
  auto json = small_tokenizer({});
  json["pre_tokenizer"] = nullptr;
  json["model"]["vocab"] = {{"a", 0}, {"<|endoftext|>", 1}};
  json["model"]["unk_token"] = "<unk>";
  const auto tokenizer = read_tokenizer(json);
  EXPECT_EQ(tokenizer.encode("aa").size(), 2U);
  EXPECT_EQ(
      error_of(ErrorCode::kData, [&] { (void)tokenizer.encode("b"); }),
      "tokenizer: expected the unk_token \"<unk>\" in model.vocab for a character that has no "
      "token, got none.");
}

TEST(TokenizerParts, IdsThatNoTokenHasAddNothing) {
  auto json = small_tokenizer({});
  json["model"]["vocab"]["zz"] = 300;
  const auto tokenizer = read_tokenizer(json);
  EXPECT_EQ(tokenizer.vocab_size(), 301);
  EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{'a', 299, 300}), "azz");
  EXPECT_EQ(tokenizer.token_bytes(299), "");
}

TEST(TokenizerParts, AMetaspaceThatSearchesTheFirstPieceTakesNoNormalizer) {
  auto json = small_tokenizer({});
  json["normalizer"] = {{"type", "NFC"}};
  json["pre_tokenizer"] = sequence(
      {{{"type", "WhitespaceSplit"}},
       {{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "first"}, {"split", true}},
       byte_level(false, false)});
  testing::expect_contains(
      error_of(ErrorCode::kData, [&] { read_tokenizer(json); }),
      "expected no normalizer before a Metaspace that looks for the \"first\" of several pieces");
}

TEST(TokenizerParts, AnIdBeyondThirtyTwoBitsIsRefused) {
  auto json = small_tokenizer({});
  json["post_processor"] = {
      {"type", "BertProcessing"}, {"cls", {"a", 9223372036854775813ULL}}, {"sep", {"b", 2}}};
  testing::expect_contains(error_of(ErrorCode::kData, [&] { read_tokenizer(json); }),
                           "expected an id, got 9223372036854775813");
}

TEST(TokenizerParts, SpecialTokensOfATextAreThoseThatEncodeTakes) {
  auto json = small_tokenizer({});
  json["added_tokens"].push_back(added_token(257, "<n>"));
  json["added_tokens"][1]["normalized"] = true;
  json["added_tokens"][1]["lstrip"] = true;
  const auto tokenizer = read_tokenizer(json);
  const auto spelled = tokenizer.special_tokens("a <n>b<|endoftext|> <n>");
  ASSERT_EQ(spelled.size(), 3U);
  EXPECT_EQ(spelled[0].begin, 1U);
  EXPECT_EQ(spelled[0].end, 5U);
  EXPECT_EQ(spelled[1].id, 256);
  EXPECT_EQ(spelled[2].begin, 19U);
  EXPECT_EQ(spelled[2].end, 23U);
}

}  // namespace
}  // namespace loopbank
