/// Classes of tokens, on sentences followed by hand.

#include "loopbank/dissect/token_class.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "loopbank/tokenize/tokenizer_json.h"
#include "tests/support/test_directory.h"
#include "tests/tokenize/small_tokenizer.h"

namespace loopbank {
namespace {

using testing::Merges;
using testing::small_tokenizer;

Tokenizer tokenizer_of(const Merges& merges) {
  return Tokenizer(parse_tokenizer_json(small_tokenizer(merges).dump(), "tokenizer.json"));
}

/// A letter a class: 9 digits, N names, f function words, . punctuation, w other words, _ other.
std::string letters(const std::vector<TokenClass>& classes) {
  std::string text;
  for (const auto token_class : classes) {
    text += "9Nf.w_"[static_cast<size_t>(token_class)];
  }
  return text;
}

/// Byte by byte, so that each letter stands below its byte.
std::string classes_of_bytes(const std::string& text) {
  const auto tokenizer = Tokenizer::bytes();
  return letters(classify_tokens(tokenizer, tokenizer.encode(text)));
}

TEST(TokenClass, EveryByteOfAWordHasTheClassOfTheWord) {
  EXPECT_EQ(classes_of_bytes("The harbour of Velm lies there."),  //
            "fff_wwwwwww_ff_NNNN_wwww_fffff.");
}

TEST(TokenClass, ACapitalisedWordIsANameUnlessItBeginsASentence) {
  EXPECT_EQ(classes_of_bytes("Ada met Ada. Ada saw: Ada! \"Ada\" (Ada)"),
            "www_www_NNN._www_www._www._.www._.NNN.");
  EXPECT_EQ(classes_of_bytes("met\nAda, Bob; Eve"), "www_www._NNN._NNN");
  EXPECT_EQ(classes_of_bytes("he\r\n - Ada"), "ff___._www");
  EXPECT_EQ(classes_of_bytes("what? Yes"), "ffff._www");
}

TEST(TokenClass, ANumberEndsTheBeginningOfASentence) {
  EXPECT_EQ(classes_of_bytes("12 Velm"), "99_NNNN");
  EXPECT_EQ(classes_of_bytes("x = 1,024.5, 3rd."), "w_._9999999._9ww.");
}

TEST(TokenClass, FunctionWordsAreKnownInCapitalsAndContractions) {
  EXPECT_EQ(classes_of_bytes("Who? And I don't. IT'S"), "fff._fff_f_fffff._ffff");
  EXPECT_EQ(classes_of_bytes("can't they've Ada's"), "fffff_fffffff_NNNNN");
  EXPECT_EQ(classes_of_bytes("isn\xE2\x80\x99t"), "fffffff");
  EXPECT_EQ(classes_of_bytes("'tis' rock'n"), ".www._wwwwww");
}

TEST(TokenClass, LettersAndSignsBeyondAscii) {
  // An accent, a capital with one, quotation marks and a dash of three bytes each.
  EXPECT_EQ(classes_of_bytes("na\xC3\xAFve \xC3\x89tienne"), "wwwwww_NNNNNNNN");
  EXPECT_EQ(classes_of_bytes("\xE2\x80\x9CHm\xE2\x80\x9D\xE2\x80\x94oh"), "...ww......ww");
  EXPECT_EQ(classes_of_bytes("\xC2\xA0!"), "__.");  // a no-break space
}

TEST(TokenClass, BytesThatAreNoCharacterAreOther) {
  EXPECT_EQ(classes_of_bytes("\x80"
                             "ab\xE2\x80"),
            "_ww__");
}

TEST(TokenClass, APieceOfAWordHasTheClassOfTheWord) {
  const auto tokenizer =
      tokenizer_of({{" ", "V"}, {"l", "m"}, {"1", "2"}, {"t", "h"}, {" ", "th"}});
  const std::string text = "see Velm then 123";
  const auto ids = tokenizer.encode(text);
  ASSERT_EQ(
      testing::pieces(tokenizer, text),
      (std::vector<std::string>{"s", "e", "e", " V", "e", "lm", " th", "e", "n", " ", "12", "3"}));
  EXPECT_EQ(letters(classify_tokens(tokenizer, ids)), "wwwNNNfff_99");
}

TEST(TokenClass, ATokenOfSeveralWordsHasTheClassOfTheOneItHoldsMostOf) {
  // As ids, whatever text they came from: a token of a sign and two letters, one of two words.
  auto definition = parse_tokenizer_json(small_tokenizer({{"(", "s"},
                                                          {"(s", "o"},
                                                          {"a", " "},
                                                          {"a ", "V"},
                                                          {"a V", "e"},
                                                          {".", "\n"},
                                                          {" ", "\n"}})
                                             .dump(),
                                         "tokenizer.json");
  const Tokenizer tokenizer(std::move(definition));
  EXPECT_EQ(tokenizer.token_bytes(257), "(so");
  EXPECT_EQ(letters(classify_tokens(tokenizer, std::vector<TokenId>{'x', 257})), "wf");
  EXPECT_EQ(tokenizer.token_bytes(260), "a Ve");
  EXPECT_EQ(letters(classify_tokens(tokenizer, std::vector<TokenId>{'x', ' ', 260, 'l'})), "w_NN");
  EXPECT_EQ(letters(classify_tokens(tokenizer, std::vector<TokenId>{261, 262})), "._");
}

TEST(TokenClass, ADocumentBeginsBehindTheEndOfText) {
  const auto tokenizer = Tokenizer::bytes();
  auto ids = tokenizer.encode("of Ada");
  ids.push_back(tokenizer.end_of_text());
  for (const auto id : tokenizer.encode("Ada of Ada")) {
    ids.push_back(id);
  }
  ids.push_back(tokenizer.end_of_text());
  EXPECT_EQ(letters(classify_tokens(tokenizer, ids)), "ff_NNN_www_ff_NNN_");
  EXPECT_TRUE(classify_tokens(tokenizer, {}).empty());
}

TEST(TokenClass, AnIdOutsideTheVocabularyIsRefused) {
  const auto tokenizer = Tokenizer::bytes();
  testing::expect_contains(
      testing::error_of(ErrorCode::kData,
                        [&] { (void)classify_tokens(tokenizer, std::vector<TokenId>{257}); }),
      "expected ids in [0, 257), got 257");
}

TEST(TokenClass, NamesAreThoseOfTheJson) {
  EXPECT_EQ(token_class_name(TokenClass::kDigits), "digits");
  EXPECT_EQ(token_class_name(TokenClass::kNames), "names");
  EXPECT_EQ(token_class_name(TokenClass::kFunctionWords), "function words");
  EXPECT_EQ(token_class_name(TokenClass::kPunctuation), "punctuation");
  EXPECT_EQ(token_class_name(TokenClass::kOtherWords), "other words");
  EXPECT_EQ(token_class_name(TokenClass::kOther), "other");
}

}  // namespace
}  // namespace loopbank
