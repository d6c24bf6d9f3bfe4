/// That PCRE2 finds in the patterns which it is given what Oniguruma finds.

#include "loopbank/tokenize/fast_pattern.h"

#include <gtest/gtest.h>

#include <random>

#include "loopbank/tokenize/code_points.h"
#include "loopbank/tokenize/pretokenizer.h"
#include "loopbank/tokenize/regex.h"

namespace loopbank {
namespace {

/// Patterns of real tokenizers and of their kinds.
const std::vector<std::string>& fast_patterns() {
  static const std::string contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
  static const std::string upper = R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])";
  static const std::string lower = R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])";
  static const std::string cl100k_tail = R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  static const std::string o200k_tail = R"( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  static const std::vector<std::string> patterns = {
      std::string(kGpt2Pattern),
      contractions + R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)" + cl100k_tail,  // Llama 3, OLMo 2
      contractions + R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)" + cl100k_tail,       // Qwen 2 and 3
      R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|)"
      R"(\s*[\r\n]|\s+(?!\S)|\s+)",  // cl100k
      R"([^\r\n\p{L}\p{N}]?)" + upper + "*" + lower + "+" + contractions + "?|" +
          R"([^\r\n\p{L}\p{N}]?)" + upper + "+" + lower + "*" + contractions + "?|" +
          R"(\p{N}{1,3}|)" + o200k_tail,  // o200k
      R"([^\r\n\p{L}\p{N}]?)" + upper + "*" + lower + "+|" + R"([^\r\n\p{L}\p{N}]?)" + upper + "+" +
          lower + "*|" + R"(\p{N}|)" + o200k_tail,  // Mistral
      R"(\p{N}{1,3})",
      R"(\p{N})",
      R"(\p{N}+)",
      R"(\s?\p{L}+|[\r\n]|\s+)",
      "[\xE4\xB8\x80-\xE9\xBE\xA5\xE0\xA0\x80-\xE4\xB7\xBF\xEA\xB0\x80-\xED\x9E\xA3]+",
      R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
      R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",  // DeepSeek
      R"((?i:k|es)[a-f-]{2,}|\S+?\t|[^\S\n]+)",
  };
  return patterns;
}

std::vector<std::pair<size_t, size_t>> matches_of(const Regex& regex, std::string_view text) {
  Regex::Matcher matcher;
  std::vector<std::pair<size_t, size_t>> matches;
  regex.for_each_match(text, matcher,
                       [&](size_t begin, size_t end) { matches.emplace_back(begin, end); });
  return matches;
}

void expect_equal_matches(const Regex& fast, const Regex& slow, const std::string& text,
                          const std::string& pattern) {
  const auto expected = matches_of(slow, text);
  const auto found = matches_of(fast, text);
  const auto [left, right] =
      std::mismatch(expected.begin(), expected.end(), found.begin(), found.end());
  const bool equal = left == expected.end() && right == found.end();
  ASSERT_TRUE(equal) << pattern << ": match " << left - expected.begin() << " begins at byte "
                     << (left == expected.end() ? text.size() : left->first) << " of "
                     << text.size();
}

/// Every character of Unicode alone, between line borders that cut it from the next, and next to
/// one character of each class.
TEST(FastPattern, EqualsOnigurumaOnEveryCharacter) {
  std::string alone;
  std::string in_pairs;
  for (char32_t point = 0; point <= 0x10FFFF; ++point) {
    if (point >= 0xD800 && point <= 0xDFFF) {
      continue;
    }
    append_utf8(alone, point);
    alone += '\n';
    // Of the planes of Chinese characters a sample, after the first.
    if (point < 0x3100 || (point >= 0xA000 && point < 0xAC00) || point % 64 == 0 ||
        (point >= 0xF900 && point < 0x20000)) {
      for (const char* neighbour : {"a", "B", "'", "s", "1", " ", "\n", "!", "\xCC\x81"}) {
        in_pairs += neighbour;
        append_utf8(in_pairs, point);
      }
      in_pairs += "\n\n";
    }
  }
  for (const auto& pattern : fast_patterns()) {
    const Regex fast(pattern);
    ASSERT_TRUE(fast.is_fast()) << pattern;
    const Regex slow(pattern, RegexEngine::kOniguruma);
    ASSERT_FALSE(slow.is_fast());
    expect_equal_matches(fast, slow, alone, pattern);
    expect_equal_matches(fast, slow, in_pairs, pattern);
  }
}

/// Characters of each class, more often those that patterns name.
std::string random_text(std::mt19937& random, size_t characters) {
  static const std::vector<std::string> alphabet = {"a",
                                                    "s",
                                                    "S",
                                                    "t",
                                                    "T",
                                                    "k",
                                                    "L",
                                                    "l",
                                                    "e",
                                                    "z",
                                                    "'",
                                                    "'",
                                                    " ",
                                                    " ",
                                                    "\n",
                                                    "\r",
                                                    "1",
                                                    "2",
                                                    "\t",
                                                    "!",
                                                    ".",
                                                    "-",
                                                    "/",
                                                    "[",
                                                    "\xC5\xBF",
                                                    "\xE2\x84\xAA",
                                                    "_",
                                                    "\xC3\xA9",
                                                    "\xCC\x81",
                                                    "\xC2\xA0",
                                                    "\xE3\x80\x80",
                                                    "\xE4\xB8\xAD",
                                                    "\xD9\xA3",
                                                    "\xF0\x9F\x98\x80",
                                                    "\xE2\x85\xA7",
                                                    "\xC7\x85",
                                                    "\xCA\xB0",
                                                    "\xEF\xAC\x86",
                                                    "\xC3\x9F",
                                                    "\xE1\xA0\x8E",
                                                    "\xC2\x85",
                                                    "\xF0\xB1\x8D\x90",
                                                    "\xF0\x9E\x93\xB0"};
  std::string text;
  for (size_t i = 0; i < characters; ++i) {
    text += alphabet[random() % alphabet.size()];
  }
  return text;
}

TEST(FastPattern, EqualsOnigurumaOnRandomTexts) {
  std::mt19937 random(7);
  std::vector<std::pair<Regex, Regex>> both;
  for (const auto& pattern : fast_patterns()) {
    both.emplace_back(Regex(pattern), Regex(pattern, RegexEngine::kOniguruma));
  }
  for (int round = 0; round < 40; ++round) {
    const auto text = random_text(random, 400);
    for (size_t i = 0; i < both.size(); ++i) {
      expect_equal_matches(both[i].first, both[i].second, text, fast_patterns()[i]);
    }
  }
}

/// A pattern of the constructs that PCRE2 may take.
class RandomPattern {
 public:
  explicit RandomPattern(std::mt19937& random) : random_(random) {}

  std::string alternatives(int depth) {
    std::string pattern = sequence(depth);
    for (auto more = random_() % 3; more > 0; --more) {
      pattern += "|" + sequence(depth);
    }
    return pattern;
  }

 private:
  std::string one_of(const std::vector<std::string>& options) {
    return options[random_() % options.size()];
  }
  std::string sequence(int depth) {
    std::string pattern;
    for (auto items = 1 + random_() % 3; items > 0; --items) {
      pattern += atom(depth) + one_of({"", "", "", "?", "*", "+", "+?", "*?", "??", "++", "*+",
                                       "?+", "{2}", "{1,3}", "{0,2}", "{2,}", "{1}+", "{1,2}?"});
    }
    return pattern;
  }
  std::string atom(int depth) {
    switch (random_() % (depth > 0 ? 8 : 4)) {
      case 0:
        return one_of({"a", "s", "'", " ", "!", "\xC3\xA9", "\\.", "\\-", "\\n", "\\x{17f}"});
      case 1:
        return one_of({"\\s", "\\S", "\\p{L}", "\\p{Lu}", "\\P{N}", "\\p{M}", "\\p{Nd}"});
      case 2:
      case 3: {
        std::string inside = one_of({"[", "[", "[^"});
        for (auto items = 1 + random_() % 3; items > 0; --items) {
          inside += one_of({"a", "1-9", "\\p{L}", "\\s", "\\S", "\\r\\n", "/", "a-s", "\\p{Ll}",
                            "\\]", "'", "\\p{P}"});
        }
        return inside + "]";
      }
      case 4:
        return one_of({"(?i:'s|'ll|'t)", "(?i:[sk]|le)", "(?i:st)"});
      case 5:
        return one_of({"(?=", "(?!"}) + alternatives(depth - 1) + ")";
      default:
        return one_of({"(?:", "("}) + alternatives(depth - 1) + ")";
    }
  }

  std::mt19937& random_;
};

TEST(FastPattern, EqualsOnigurumaForRandomPatterns) {
  std::mt19937 random(11);
  int num_fast = 0;
  for (int round = 0; round < 3000; ++round) {
    const auto pattern = RandomPattern(random).alternatives(2);
    const Regex fast(pattern);
    if (!fast.is_fast()) {
      continue;
    }
    ++num_fast;
    const Regex slow(pattern, RegexEngine::kOniguruma);
    for (int i = 0; i < 4; ++i) {
      expect_equal_matches(fast, slow, random_text(random, 30), pattern);
    }
  }
  EXPECT_GT(num_fast, 500);  // of 3000: most can match nothing
}

TEST(FastPattern, WhatMeansSomethingElseInPcre2IsOnigurumas) {
  for (const char* pattern : {"[a&&b]",
                              "[a[b]]",
                              R"(\h)",
                              "^a",
                              "a$",
                              "a.",
                              "(?m)a",
                              "a{1,2}+",
                              "a{1,2}?",
                              "a{,2}b",
                              R"(\w)",
                              R"(\d)",
                              R"(\ba)",
                              "(?<=a)b",
                              "(?<!a)b",
                              "x*",
                              "",
                              "a|",
                              R"(\R)",
                              R"(\X)",
                              "(?i)a",
                              "(?i:st)",
                              "(?i:ff)",
                              "(?i:[s]t)",
                              "(?i:(?:s)t)",
                              "(?i:s)(?i:t)",
                              "(a)\\1",
                              "(?<n>a)",
                              R"([\P{L}])",
                              R"(\p{Han})",
                              R"(\p{Alphabetic})",
                              R"(\p{^L})",
                              R"([[:alpha:]])",
                              R"(a\Kb)",
                              "(?#x)a",
                              "(?>a)",
                              "(*FAIL)a",
                              "a**",
                              "(?:a?)*b",
                              "(?=a)*b",
                              "[]a]",
                              "[a-c-e]",
                              R"(\x41)",
                              R"(\Qa\E)",
                              R"([\b])",
                              R"(\u0041)"}) {
    EXPECT_FALSE(pcre2_equivalent(pattern).has_value()) << pattern;
  }
}

}  // namespace
}  // namespace loopbank
