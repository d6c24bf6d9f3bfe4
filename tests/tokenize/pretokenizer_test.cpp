#include "loopbank/tokenize/pretokenizer.h"

#include <gtest/gtest.h>

#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using Kind = PreTokenizerStep::Kind;
using Words = std::vector<std::string>;
using testing::error_of;
using testing::expect_contains;

Words words_of(const std::string& text, std::vector<PreTokenizerStep> steps = {{}},
               bool at_start = true) {
  const PreTokenizer pre_tokenizer(std::move(steps));
  Regex::Matcher matcher;
  Words words;
  pre_tokenizer.split(text, at_start, matcher,
                      [&](std::string_view word) { words.emplace_back(word); });
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

TEST(PreTokenizer, NoStepLeavesOneWord) {
  EXPECT_EQ(words_of("a b\n", {}), Words{"a b\n"});
  EXPECT_EQ(words_of("", {}), Words{});
}

PreTokenizer pre_tokenizer_of(std::vector<PreTokenizerStep> steps) {
  return PreTokenizer(std::move(steps));
}

PreTokenizerStep plain(Kind kind) {
  return {.kind = kind};
}

TEST(PreTokenizer, WhiteSpaceStepsThrowItAway) {
  EXPECT_EQ(words_of(" a-b \u00E9\u0301_1\u200D+=\u2002c", {plain(Kind::kWhitespace)}),
            (Words{"a", "-", "b", "\u00E9\u0301_1\u200D", "+=", "c"}));
  EXPECT_EQ(words_of(" a-b\u00A0\nc\u200B ", {plain(Kind::kWhitespaceSplit)}),
            (Words{"a-b", "c\u200B"}));
  EXPECT_EQ(words_of("Hey, you$ \u00BFno?!", {plain(Kind::kBertPreTokenizer)}),
            (Words{"Hey", ",", "you", "$", "\u00BF", "no", "?", "!"}));
  EXPECT_EQ(words_of("a,,b", {{.kind = Kind::kCharDelimiterSplit, .sign = ","}}),
            (Words{"a", "b"}));
}

TEST(PreTokenizer, PunctuationIsThatOfTheReference) {
  // ASCII's symbols count, those of Unicode do not; U+2E43 and U+061D are too new for its tables.
  const PreTokenizerStep isolated{.kind = Kind::kPunctuation};
  EXPECT_EQ(words_of("a+b\u00D7c\u2026\u2E43\u061D\u166D", {isolated}),
            (Words{"a", "+", "b\u00D7c", "\u2026", "\u2E43\u061D", "\u166D"}));
  const PreTokenizerStep merged{.kind = Kind::kPunctuation,
                                .behavior = SplitBehavior::kMergedWithPrevious};
  EXPECT_EQ(words_of("a, b..c", {merged}), (Words{"a,", " b.", ".", "c"}));
}

TEST(PreTokenizer, FixedLengthCountsCharacters) {
  EXPECT_EQ(words_of("ab\u00E9d\u4E00", {{.kind = Kind::kFixedLength, .length = 2}}),
            (Words{"ab", "\u00E9d", "\u4E00"}));
}

TEST(PreTokenizer, MetaspaceWritesSpacesAsSigns) {
  const auto with = [](PrependScheme scheme, bool split) {
    return PreTokenizerStep{.kind = Kind::kMetaspace, .prepend_scheme = scheme, .split = split};
  };
  EXPECT_EQ(words_of("a  b\n", {with(PrependScheme::kAlways, true)}),
            (Words{"\u2581a", "\u2581", "\u2581b\n"}));
  EXPECT_EQ(words_of(" a b", {with(PrependScheme::kAlways, false)}), (Words{"\u2581a\u2581b"}));
  EXPECT_EQ(words_of("a b", {with(PrependScheme::kNever, true)}), (Words{"a", "\u2581b"}));
  const auto first = with(PrependScheme::kFirst, true);
  EXPECT_EQ(words_of("a b", {first}), (Words{"\u2581a", "\u2581b"}));
  EXPECT_EQ(words_of("a b", {first}, /*at_start=*/false), (Words{"a", "\u2581b"}));
  // Behind a step that cuts, the piece at the first byte alone.
  EXPECT_EQ(words_of("1a", {{.kind = Kind::kDigits}, first}), (Words{"\u2581"
                                                                     "1",
                                                                     "a"}));
  EXPECT_EQ(words_of(" 1a", {plain(Kind::kWhitespaceSplit), first}), (Words{"1a"}));
  EXPECT_EQ(words_of("a_b", {{.kind = Kind::kMetaspace, .sign = "_"}}), (Words{"_a", "_b"}));
}

TEST(PreTokenizer, WhichPieceBeginsANormalizedTextIsNotGuessed) {
  const PreTokenizerStep first{.kind = Kind::kMetaspace, .prepend_scheme = PrependScheme::kFirst};
  const auto error_with = [](std::vector<PreTokenizerStep> steps, bool tokens_in_normalized) {
    return error_of(ErrorCode::kData, [&] {
      pre_tokenizer_of(std::move(steps)).expect_certain_start(tokens_in_normalized);
    });
  };
  EXPECT_EQ(error_with({{.kind = Kind::kDigits}, first}, false),
            "tokenizer: expected no normalizer before a Metaspace that looks for the \"first\" of "
            "several pieces, got one: it is not supported.");
  expect_contains(error_with({first}, true), "no normalizer before a Metaspace");
  pre_tokenizer_of({first}).expect_certain_start(false);
  pre_tokenizer_of({plain(Kind::kDigits), plain(Kind::kMetaspace)}).expect_certain_start(true);
}

TEST(PreTokenizer, StepsBehindByteLevelSeeItsAlphabet) {
  // U+0132 is the bytes C4 B2; B2 is spelled as U+00B2, which is a number.
  EXPECT_EQ(words_of("a\u0132"
                     "1",
                     {{.use_regex = false}, {.kind = Kind::kDigits}}),
            (Words{"a\xC4", "\xB2", "1"}));
  // A space is U+0120 there: no white space.
  EXPECT_EQ(words_of("a b", {{.use_regex = false}, plain(Kind::kWhitespaceSplit)}), (Words{"a b"}));
  const PreTokenizer pre_tokenizer({{.use_regex = false}, {.kind = Kind::kDigits}});
  EXPECT_TRUE(pre_tokenizer.is_byte_level());
  EXPECT_FALSE(pre_tokenizer_of({{.kind = Kind::kDigits}}).is_byte_level());
}

TEST(PreTokenizer, KnowsWhetherItKeepsTheText) {
  EXPECT_TRUE(pre_tokenizer_of({{.kind = Kind::kDigits}, {}}).keeps_text());
  EXPECT_FALSE(pre_tokenizer_of({{.add_prefix_space = true}}).keeps_text());
  EXPECT_FALSE(pre_tokenizer_of({plain(Kind::kWhitespaceSplit)}).keeps_text());
  EXPECT_FALSE(pre_tokenizer_of({plain(Kind::kMetaspace)}).keeps_text());
}

TEST(PreTokenizer, StepsThatChangeEachOthersTextAreRefused) {
  const auto error_with = [](std::vector<PreTokenizerStep> steps) {
    return error_of(ErrorCode::kData, [&] { PreTokenizer{std::move(steps)}; });
  };
  EXPECT_EQ(error_with({{}, {}}),
            "pre-tokenizer: expected one ByteLevel step, got a second one: it is not supported.");
  expect_contains(error_with({{}, plain(Kind::kMetaspace)}), "no Metaspace behind ByteLevel");
  expect_contains(error_with({plain(Kind::kMetaspace),
                              {.kind = Kind::kMetaspace, .prepend_scheme = PrependScheme::kFirst}}),
                  "no Metaspace behind another one");
}

TEST(PreTokenizer, TheTextOfAStepForHashesStaysWhatItWas) {
  EXPECT_EQ(canonical_text({}), "step 0 false true true false 0 \n");
  EXPECT_EQ(canonical_text({.kind = Kind::kSplit, .pattern = "a b"}),
            "step 2 false true true false 3 a b\n");
  EXPECT_EQ(canonical_text({.kind = Kind::kDigits, .individual_digits = false}),
            "step 1 false true false false 0 \n");
  EXPECT_NE(canonical_text({.kind = Kind::kSplit, .pattern = "a", .invert = true}),
            canonical_text({.kind = Kind::kSplit, .pattern = "a"}));
}

}  // namespace
}  // namespace loopbank
