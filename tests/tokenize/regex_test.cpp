/// What patterns mean and what becomes of their matches; every expectation is that of Hugging
/// Face's `tokenizers` 0.22.2.

#include <gtest/gtest.h>

#include "loopbank/tokenize/pretokenizer.h"
#include "loopbank/tokenize/regex.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using Behavior = SplitBehavior;
using testing::error_of;
using testing::expect_contains;

struct SplitCase {
  std::string pattern;
  std::string text;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;
  std::vector<std::string> words;
};

const std::vector<SplitCase>& split_cases() {
  static const std::vector<SplitCase> cases = {
      {.pattern = R"([\w&&[^_x]]+)", .text = "ab_cxd_", .words = {"ab", "_", "c", "x", "d", "_"}},
      {.pattern = R"([a-z&&[^aeiou]]+)",
       .text = "quick fox",
       .words = {"q", "ui", "ck", " ", "f", "o", "x"}},
      {.pattern = R"([x[0-4]]+)", .text = "1x5[x4]", .words = {"1x", "5[", "x4", "]"}},
      {.pattern = R"([^a[bc]])", .text = "abcd", .words = {"abc", "d"}},
      {.pattern = R"(\h+)", .text = "cafe g9 h", .words = {"cafe", " g", "9", " h"}},
      {.pattern = R"(\H+)", .text = "dog bee", .words = {"d", "og ", "bee"}},
      {.pattern = R"(^.)", .text = "one\ntwo\n", .words = {"o", "ne\n", "t", "wo\n"}},
      {.pattern = R"(.$)", .text = "one\ntwo", .words = {"on", "e", "\ntw", "o"}},
      {.pattern = R"(^$)", .text = "a\n\nb", .words = {"a\n", "\nb"}},
      {.pattern = R"(.+)", .text = "ab\ncd", .words = {"ab", "\n", "cd"}},
      {.pattern = R"((?m).+)", .text = "ab\ncd", .words = {"ab\ncd"}},
      {.pattern = R"((?m)^b)", .text = "a\nb", .words = {"a\n", "b"}},
      {.pattern = R"([0-9]{1,2}+)", .text = "1234567 89", .words = {"1234567", " ", "89"}},
      {.pattern = R"(a{,2}b)", .text = "aaab", .words = {"a", "aab"}},
      {.pattern = R"([a-z]{2}?x)", .text = "abxcdx", .words = {"abx", "cdx"}},
      {.pattern = R"(o++)", .text = "foo o", .words = {"f", "oo", " ", "o"}},
      {.pattern = R"(\w+)",
       .text = "nai\314\210ve x\314\201\302\262 \342\200\277",
       .words = {"nai\314\210ve", " ", "x\314\201\302\262", " ", "\342\200\277"}},
      {.pattern = R"(\bto\b)", .text = "to toe to", .words = {"to", " toe ", "to"}},
      {.pattern = R"((?<=\.|ab+)c)", .text = "abbc.c xc", .words = {"abb", "c", ".", "c", " xc"}},
      {.pattern = R"((?<!a)b)", .text = "ab bb", .words = {"ab ", "b", "b"}},
      {.pattern = R"((?<=^|\n)\S)", .text = "a b\nc", .words = {"a", " b\n", "c"}},
      {.pattern = R"((?=[aeiou]))", .text = "banana", .words = {"b", "an", "an", "a"}},
      {.pattern = R"(x*)", .text = "axxb", .words = {"a", "xx", "b"}},
      {.pattern = R"()", .text = "a\303\251", .words = {"a", "\303\251"}},
      {.pattern = R"(\s*)", .text = "a b", .words = {"a", " ", "b"}},
      {.pattern = R"($)", .text = "a\nb", .words = {"a", "\nb"}},
      {.pattern = R"(\b)", .text = "hi you", .words = {"hi", " ", "you"}},
      {.pattern = R"(\R)",
       .text = "a\r\n\nb\013\342\200\250",
       .words = {"a", "\r\n", "\n", "b", "\013", "\342\200\250"}},
      {.pattern = R"(\X)", .text = "e\314\201\r\nx", .words = {"e\314\201", "\r\n", "x"}},
      {.pattern = R"((?i)strasse|st)",
       .text = "Stra\303\237e ST",
       .words = {"Stra\303\237e", " ", "ST"}},
      {.pattern = R"((?i:st|k))",
       .text = "\357\254\206 \342\204\252 \305\277t",
       .words = {"\357\254\206", " ", "\342\204\252", " ", "\305\277t"}},
      {.pattern = R"(\p{Han}+)",
       .text = "\344\270\200\343\200\206\343\203\274 x",
       .words = {"\344\270\200", "\343\200\206\343\203\274 x"}},
      {.pattern = R"(\p{^L}+)", .text = "a12b", .words = {"a", "12", "b"}},
      {.pattern = R"([[:punct:]]+)", .text = "a+b!?", .words = {"a", "+", "b", "!?"}},
      {.pattern = R"([[:alpha:]&&\p{Ll}])", .text = "aBc", .words = {"a", "B", "c"}},
      {.pattern = R"((a)(b)?\1)", .text = "aba aa", .words = {"aba", " ", "aa"}},
      {.pattern = R"((?<q>[\'"]).*?\k<q>)",
       .text = "say \"a'b\" now",
       .words = {"say ", "\"a'b\"", " now"}},
      {.pattern = R"(a\Kb)", .text = "aab ab", .words = {"aa", "b", " a", "b"}},
      {.pattern = R"((?>a+|b)c)", .text = "aac bc", .words = {"aac", " ", "bc"}},
      {.pattern = R"([\p{L}\p{M}]+|\p{N}{1,3})",
       .text = "\360\261\215\220a\360\236\223\260 12345",
       .words = {"\360\261\215\220a", "\360\236\223\260", " ", "123", "45"}},
      {.pattern = R"(\p{Lu})",
       .text = "\341\262\211\352\237\213A",
       .words = {"\341\262\211", "\352\237\213", "A"}},
      {.pattern = R"(\s)",
       .text = "\341\240\216\302\205\302\240\342\200\213\357\273\277\342\200\250",
       .words = {"\341\240\216", "\302\205", "\302\240", "\342\200\213\357\273\277",
                 "\342\200\250"}},
      {.pattern = R"([0-9]+|-)",
       .text = "-a12-b--3",
       .words = {"-", "a", "12", "-", "b", "-", "-", "3"}},
      {.pattern = R"([0-9]+|-)",
       .text = "-a12-b--3",
       .behavior = Behavior::kRemoved,
       .words = {"a", "b"}},
      {.pattern = R"([0-9]+|-)",
       .text = "-a12-b--3",
       .behavior = Behavior::kMergedWithPrevious,
       .words = {"-", "a12", "-", "b-", "-", "3"}},
      {.pattern = R"([0-9]+|-)",
       .text = "-a12-b--3",
       .behavior = Behavior::kMergedWithNext,
       .words = {"-a", "12", "-b", "-", "-", "3"}},
      {.pattern = R"([0-9]+|-)",
       .text = "-a12-b--3",
       .behavior = Behavior::kContiguous,
       .words = {"-", "a", "12-", "b", "--3"}},
      {.pattern = R"([0-9]+|-)",
       .text = "-a12-b--3",
       .invert = true,
       .words = {"-", "a", "12", "-", "b", "-", "-", "3"}},
      {.pattern = R"([0-9]+|-)",
       .text = "-a12-b--3",
       .behavior = Behavior::kRemoved,
       .invert = true,
       .words = {"-", "12", "-", "-", "-", "3"}},
      {.pattern = R"([0-9]+|-)",
       .text = "-a12-b--3",
       .behavior = Behavior::kMergedWithPrevious,
       .invert = true,
       .words = {"-a", "12", "-b", "-", "-", "3"}},
      {.pattern = R"([0-9]+|-)",
       .text = "-a12-b--3",
       .behavior = Behavior::kMergedWithNext,
       .invert = true,
       .words = {"-", "a12", "-", "b-", "-", "3"}},
      {.pattern = R"([0-9]+|-)",
       .text = "-a12-b--3",
       .behavior = Behavior::kContiguous,
       .invert = true,
       .words = {"-", "a", "12-", "b", "--3"}},
      {.pattern = R"(\d*)", .text = "a1b", .words = {"a", "1", "b"}},
      {.pattern = R"(\d*)", .text = "a1b", .behavior = Behavior::kRemoved, .words = {"a", "b"}},
      {.pattern = R"(\d*)",
       .text = "a1b",
       .behavior = Behavior::kMergedWithPrevious,
       .words = {"a1", "b"}},
      {.pattern = R"(\d*)",
       .text = "a1b",
       .behavior = Behavior::kMergedWithNext,
       .words = {"a", "1b"}},
      {.pattern = R"(\d*)",
       .text = "a1b",
       .behavior = Behavior::kContiguous,
       .words = {"a", "1", "b"}},
      {.pattern = R"(\d*)", .text = "a1b", .invert = true, .words = {"a", "1", "b"}},
      {.pattern = R"(\d*)",
       .text = "a1b",
       .behavior = Behavior::kRemoved,
       .invert = true,
       .words = {"1"}},
      {.pattern = R"(\d*)",
       .text = "a1b",
       .behavior = Behavior::kMergedWithPrevious,
       .invert = true,
       .words = {"a", "1b"}},
      {.pattern = R"(\d*)",
       .text = "a1b",
       .behavior = Behavior::kMergedWithNext,
       .invert = true,
       .words = {"a1", "b"}},
      {.pattern = R"(\d*)",
       .text = "a1b",
       .behavior = Behavior::kContiguous,
       .invert = true,
       .words = {"a", "1", "b"}},
  };
  return cases;
}

TEST(Regex, CutsAsTheReferenceDoes) {
  for (const auto& expected : split_cases()) {
    const PreTokenizer pre_tokenizer({{.kind = PreTokenizerStep::Kind::kSplit,
                                       .pattern = expected.pattern,
                                       .behavior = expected.behavior,
                                       .invert = expected.invert}});
    Regex::Matcher matcher;
    std::vector<std::string> words;
    pre_tokenizer.split(expected.text, /*at_start=*/true, matcher,
                        [&](std::string_view word) { words.emplace_back(word); });
    EXPECT_EQ(words, expected.words)
        << expected.pattern << " behavior " << static_cast<int>(expected.behavior) << " invert "
        << expected.invert << " in " << expected.text;
  }
}

using Places = std::vector<std::pair<size_t, size_t>>;

Places places_of(const Regex& regex, std::string_view text) {
  Regex::Matcher matcher;
  Places matches;
  regex.for_each_match(text, matcher,
                       [&](size_t begin, size_t end) { matches.emplace_back(begin, end); });
  return matches;
}

TEST(Regex, WordsAndNumbersAreThoseOfUnicode16) {
  // Letters of 15.0, 15.1 and 16.0, a digit of 15.0; one that is still no letter.
  const std::string newer =
      "\xF0\xB1\x8D\x90\xF0\xAE\xAF\xB0\xEA\x9F\x8B!\xF0\x9E\x93\xB0!\xF3\xB0\x80\x80";
  for (const auto engine : {RegexEngine::kFastest, RegexEngine::kOniguruma}) {
    EXPECT_EQ(places_of(Regex(R"(\p{L}+)", engine), newer), (Places{{0, 11}}));
    EXPECT_EQ(places_of(Regex(R"(\p{Nd}+)", engine), newer), (Places{{12, 16}}));
    EXPECT_EQ(places_of(Regex(R"([^\p{L}\p{N}!]+)", engine), newer), (Places{{17, 21}}));
  }
  EXPECT_EQ(places_of(Regex(R"(\p{Uppercase Letter}|\p{han}+)"), newer), (Places{{0, 8}, {8, 11}}));
  for (const char* word : {R"(\w+)", R"([\w]+)", R"([[:word:]]+)", R"(\p{Word}+)", R"([^\W]+)",
                           R"([[:alnum:]&&[^!]]+)", R"([[:^punct:]&&[[:alpha:]\d]]+)"}) {
    EXPECT_EQ(places_of(Regex(word), newer), (Places{{0, 11}, {12, 16}})) << word;
  }
  EXPECT_EQ(places_of(Regex(R"(\d)"), newer), (Places{{12, 16}}));
  EXPECT_EQ(places_of(Regex(R"(\b)"), newer), (Places{{0, 0}, {11, 11}, {12, 12}, {16, 16}}));
  EXPECT_EQ(places_of(Regex(R"(\B!)"), newer + "!"), (Places{{21, 22}}));
}

TEST(Regex, SixSignsOfLatin1AreWordCharactersOutsideOfClasses) {
  for (const char* pattern : {R"(\w)", R"(\p{Word})"}) {
    EXPECT_EQ(places_of(Regex(pattern), "\u00B2"), (Places{{0, 2}})) << pattern;
  }
  for (const char* pattern : {R"([\w])", R"([[:word:]])", R"([\p{Word}])", R"(\W)"}) {
    EXPECT_EQ(places_of(Regex(pattern), "\u00B2"), Places{}) << pattern;
  }
}

TEST(Regex, PatternsOfAsciiClassesStayWhatTheyAre) {
  EXPECT_EQ(places_of(Regex(R"((?W)\w)"), "\u00E9a"), (Places{{2, 3}}));
  EXPECT_EQ(places_of(Regex(R"((?D:\d))"),
                      "\u0663"
                      "1"),
            (Places{{2, 3}}));
  EXPECT_EQ(places_of(Regex(R"([][:alpha:]\\w]+)"), "a]w\\"), (Places{{0, 4}}));
  EXPECT_EQ(places_of(Regex(R"((?#\p{L})[:alpha:])"), "xa:"), (Places{{1, 2}, {2, 3}}));
}

TEST(Regex, APatternThatDoesNotCompileIsNamedWithTheReason) {
  const auto message = error_of(ErrorCode::kData, [] { Regex("(a"); });
  EXPECT_EQ(message,
            "regex: expected a regular expression that Oniguruma reads, got \"(a\": end pattern "
            "with unmatched parenthesis.");
  expect_contains(error_of(ErrorCode::kData, [] { Regex("\xFF"); }), "expected a pattern in UTF-8");
}

TEST(Regex, APatternThatMovesItsOwnStartIsStopped) {
  EXPECT_EQ(error_of(ErrorCode::kData, [] { (void)places_of(Regex(R"(a|(?<=\Ka)b)"), "ab"); }),
            "regex: expected a match that starts at byte 1 or later and before its end, got one "
            "from 0 to 2. Take \\K out of the pattern.");
}

TEST(Regex, APatternThatBacktracksWithoutEndIsStopped) {
  const std::string text = std::string(40, 'a') + "bc";
  for (const char* pattern : {"(a+)+$", "(a|aa)+[cd]\\b"}) {
    expect_contains(error_of(ErrorCode::kData, [&] { (void)places_of(Regex(pattern), text); }),
                    "in 42 bytes of text, got: retry-limit-in-match over.");
  }
  // Each start takes few steps, all of them together take too many.
  const std::string long_text = std::string(12'000, 'a') + "bc";
  expect_contains(
      error_of(ErrorCode::kData, [&] { (void)places_of(Regex("a+a[cd]$"), long_text); }),
      "retry-limit-in-search over");
}

TEST(Regex, ALongMatchNeedsNoStackOfTheProgram) {
  const std::string text(200'000, 'a');
  for (const char* pattern : {"(?:a|b)+", "(?:a|b)+$", "(?:a|[^a])+"}) {
    EXPECT_EQ(places_of(Regex(pattern), text).at(0), (std::pair<size_t, size_t>{0, text.size()}))
        << pattern;
  }
}

TEST(Regex, MatchesOfNothingCutOnceAndGetOn) {
  EXPECT_EQ(places_of(Regex("x*"), "axxb\xC3\xA9"), (Places{{0, 0}, {1, 3}, {4, 4}, {6, 6}}));
  EXPECT_EQ(places_of(Regex(""), "\xC3\xA9"), (Places{{0, 0}, {2, 2}}));
  EXPECT_EQ(places_of(Regex(""), ""), (Places{{0, 0}}));
}

}  // namespace
}  // namespace loopbank
