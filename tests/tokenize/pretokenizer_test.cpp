#include "loopbank/tokenize/pretokenizer.h"

#include <gtest/gtest.h>

#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using Kind = PreTokenizerStep::Kind;
using Words = std::vector<std::string>;
using testing::error_of;
using testing::expect_contains;

Words words_of(const std::string& text, std::vector<PreTokenizerStep> steps = {{}}) {
  const PreTokenizer pre_tokenizer(std::move(steps));
  Regex::Matcher matcher;
  Words words;
  pre_tokenizer.split(text, matcher, [&](std::string_view word) { words.emplace_back(word); });
  return words;
}

TEST(PreTokenizer, CutsContractionsLettersDigitsAndSigns) {
  EXPECT_EQ(
      words_of("I'm we've, don't CAN'T 12ab?!"),
      (Words{"I", "'m", " we", "'ve", ",", " don", "'t", " CAN", "'", "T", " 12", "ab", "?!"}));
}

TEST(PreTokenizer, TheLastSpaceOfARunBelongsToTheNextWord) {
  EXPECT_EQ(words_of("a   b"), (Words{"a", "  ", " b"}));
  EXPECT_EQ(words_of("a  "), (Words{"a", "  "}));
  EXPECT_EQ(words_of("a\n\n b\n"), (Words{"a", "\n\n", " b", "\n"}));
  EXPECT_EQ(words_of(" \t\n"), (Words{" \t\n"}));
}

TEST(PreTokenizer, LettersDigitsAndWhiteSpaceAreThoseOfUnicode) {
  EXPECT_EQ(words_of("caf\u00E9 \u0416\u0443 x\u00B2\u0663"),
            (Words{"caf\u00E9", " \u0416\u0443", " x", "\u00B2\u0663"}));
  // No-break and ideographic space, next line: white space, but not the space of a word.
  EXPECT_EQ(words_of("a\u00A0b\u3000c\u0085"),
            (Words{"a", "\u00A0", "b", "\u3000", "c", "\u0085"}));
  // The Mongolian vowel separator and the zero width space are none.
  EXPECT_EQ(words_of("!\u180E!\u200B!"), (Words{"!\u180E!\u200B!"}));
}

TEST(PreTokenizer, DigitsAreCutBeforeTheSpaceJoinsThem) {
  const PreTokenizerStep each{.kind = Kind::kDigits, .individual_digits = true};
  const PreTokenizerStep runs{.kind = Kind::kDigits, .individual_digits = false};
  EXPECT_EQ(words_of("ab 12 c3", {each, {}}), (Words{"ab", " ", "1", "2", " c", "3"}));
  EXPECT_EQ(words_of("ab 12 c3", {runs, {}}), (Words{"ab", " ", "12", " c", "3"}));
}

TEST(PreTokenizer, AnyPatternMayCut) {
  const PreTokenizerStep threes{.kind = Kind::kSplit, .pattern = "\\p{N}{1,3}|(?i:X)"};
  EXPECT_EQ(words_of("ax12345", {threes, {.use_regex = false}}), (Words{"a", "x", "123", "45"}));
  const PreTokenizerStep text{.kind = Kind::kSplit, .pattern = "a.(", .pattern_is_text = true};
  EXPECT_EQ(words_of("aba.(b", {text, {.use_regex = false}}), (Words{"ab", "a.(", "b"}));
}

TEST(PreTokenizer, APatternThatMatchesNothingCutsNothing) {
  const PreTokenizerStep empty{.kind = Kind::kSplit, .pattern = "x*"};
  EXPECT_EQ(words_of("axxb", {empty, {.use_regex = false}}), (Words{"a", "xx", "b"}));
  EXPECT_EQ(words_of("", {empty, {}}), Words{});
}

TEST(PreTokenizer, ASpaceIsPutBeforeEachPieceThatHasNone) {
  EXPECT_EQ(words_of("ab cd", {{.add_prefix_space = true}}), (Words{" ab", " cd"}));
  EXPECT_EQ(words_of(" ab", {{.add_prefix_space = true}}), (Words{" ab"}));
  EXPECT_EQ(words_of("a1", {{.kind = Kind::kDigits}, {.add_prefix_space = true}}),
            (Words{" a", " 1"}));
  EXPECT_EQ(words_of("", {{.add_prefix_space = true}}), Words{});
}

TEST(PreTokenizer, BytesThatAreNotUtf8AreWordsOfTheirOwn) {
  EXPECT_EQ(words_of("ab\xFF\xFE cd\xC3"), (Words{"ab", "\xFF", "\xFE", " cd", "\xC3"}));
}

TEST(PreTokenizer, APatternThatDoesNotCompileIsNamedWithTheReason) {
  const auto message = error_of(ErrorCode::kData, [] {
    words_of("a", {{.kind = Kind::kSplit, .pattern = "(a"}, {}});
  });
  expect_contains(message, "got \"(a\": missing closing parenthesis (byte 2");
}

TEST(PreTokenizer, APatternThatMovesItsOwnStartIsStopped) {
  const auto error_with = [](const std::string& pattern) {
    return error_of(ErrorCode::kData, [&] {
      (void)words_of("abab", {{.kind = Kind::kSplit, .pattern = pattern}, {.use_regex = false}});
    });
  };
  EXPECT_EQ(error_with(R"((?=(?1))a(?(DEFINE)(ab\K)))"),
            "pre-tokenizer: expected a match of at least one byte from byte 0 on, got one from 2 "
            "to 1. Take \\K out of the pattern.");
  // An empty match that claims to begin later: the next search would begin at the same place.
  expect_contains(error_with(R"((?=(?1))(?(DEFINE)(ab\K)))"), "got one from 2 to 0");
  const PreTokenizerStep harmless{.kind = Kind::kSplit, .pattern = R"(a\Kb)"};
  EXPECT_EQ(words_of("aabab", {harmless, {.use_regex = false}}), (Words{"aa", "b", "a", "b"}));
}

TEST(PreTokenizer, APatternMayAskForTheInterpreter) {
  const PreTokenizerStep step{.kind = Kind::kSplit, .pattern = "(*NO_JIT)a"};
  EXPECT_EQ(words_of("bab", {step, {.use_regex = false}}), (Words{"b", "a", "b"}));
}

TEST(PreTokenizer, APatternThatBacktracksWithoutEndIsStopped) {
  const auto message = error_of(ErrorCode::kData, [] {
    words_of(std::string(40, 'a') + "b", {{.kind = Kind::kSplit, .pattern = "(a+)+$"}, {}});
  });
  expect_contains(message, "match limit exceeded");
}

}  // namespace
}  // namespace loopbank
