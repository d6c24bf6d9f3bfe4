/// Added tokens where they meet each other and the ends of a text. What the reference gives for
/// whole tokenizers is in reference_cases.jsonl.

#include "loopbank/tokenize/added_tokens.h"

#include <gtest/gtest.h>

#include "loopbank/support/random.h"

namespace loopbank {
namespace {

/// "text|<id>|text": what `cut` gives, in order.
std::string cut(const AddedTokenFinder& finder, std::string_view text, bool parse_special = true) {
  std::string result;
  finder.cut(
      text, parse_special,
      [&](std::string_view piece, size_t begin) {
        EXPECT_EQ(text.substr(begin, piece.size()), piece);
        EXPECT_FALSE(piece.empty());
        result += std::string(piece) + "|";
      },
      [&](const AddedTokenFinder::Found& found) { result += std::to_string(found.id) + "|"; });
  return result;
}

TEST(AddedTokenFinder, WithoutTokensTheTextStaysWhole) {
  EXPECT_EQ(cut(AddedTokenFinder(), "ab"), "ab|");
  EXPECT_EQ(cut(AddedTokenFinder(), ""), "");
}

TEST(AddedTokenFinder, TheLeftmostCountsThenTheLongestThenTheFirst) {
  const AddedTokenFinder finder({{.content = "bc", .id = 1},
                                 {.content = "abx", .id = 2},
                                 {.content = "bcd", .id = 3},
                                 {.content = "bc", .id = 4}});
  EXPECT_EQ(cut(finder, "abcdbc"), "a|3|1|");
  EXPECT_EQ(cut(finder, "abxbc"), "2|1|");
  EXPECT_EQ(cut(finder, "ab"), "ab|");
}

TEST(AddedTokenFinder, ASpecialTokenThatIsNotAskedForHidesWhatItCovers) {
  const AddedTokenFinder finder(
      {{.content = "<s>", .id = 1, .special = true}, {.content = "s>x", .id = 2}});
  EXPECT_EQ(cut(finder, "<s>x s>x"), "1|x |2|");
  EXPECT_EQ(cut(finder, "<s>x s>x", false), "<s>x |2|");
  EXPECT_FALSE(finder.finds_nothing(false));
  EXPECT_TRUE(AddedTokenFinder({{.content = "a", .special = true}}).finds_nothing(false));
}

TEST(AddedTokenFinder, WhiteSpaceIsTakenOnce) {
  const AddedTokenFinder finder(
      {{.content = "<l>", .id = 1, .lstrip = true}, {.content = "<r>", .id = 2, .rstrip = true}});
  EXPECT_EQ(cut(finder, " <r> \n<l> a"), " |2|1| a|");
  EXPECT_EQ(cut(finder, "<l>"), "1|");
  EXPECT_EQ(cut(finder, "\xA0<l>"), "\xA0|1|") << "a broken byte is no white space";
  EXPECT_EQ(cut(finder, "\xC2\xA0<l>"), "1|");
  // A token of white space that takes what is around it leaves nothing for the next one.
  const auto blanks = [](bool lstrip) {
    return AddedTokenFinder({{.content = "  ", .id = 1, .lstrip = lstrip, .rstrip = true}});
  };
  EXPECT_EQ(cut(blanks(true), "a     b"), "a|1|b|");
  EXPECT_EQ(cut(blanks(false), "a     b"), "a|1|1|b|");  // as in the reference
}

TEST(AddedTokenFinder, TheEndsOfBrokenTextAreNoWordCharacters) {
  const AddedTokenFinder finder({{.content = "or", .id = 1, .single_word = true}});
  EXPECT_EQ(cut(finder, "\xC3or\xC3"), "\xC3|1|\xC3|");
  EXPECT_EQ(cut(finder, "\xC3\xA9or"), "\xC3\xA9or|");
  EXPECT_EQ(cut(finder, "or"), "1|");
}

TEST(AddedTokenFinder, FindsWhatASearchFromEachPlaceFinds) {
  const std::vector<AddedTokenPattern> patterns = {{.content = "a", .id = 1},
                                                   {.content = "aba", .id = 2},
                                                   {.content = "bb", .id = 3},
                                                   {.content = "abab", .id = 4}};
  const AddedTokenFinder finder(patterns);
  RandomStream random(5);
  for (int i = 0; i < 500; ++i) {
    std::string text;
    while (text.size() < 12) {
      text.push_back(static_cast<char>('a' + random.below(3)));
    }
    std::string expected;
    for (size_t at = 0; at < text.size();) {
      const AddedTokenPattern* longest = nullptr;
      for (const auto& pattern : patterns) {
        if (text.compare(at, pattern.content.size(), pattern.content) == 0 &&
            (longest == nullptr || pattern.content.size() > longest->content.size())) {
          longest = &pattern;
        }
      }
      if (longest != nullptr) {
        if (!expected.empty() && std::isalpha(expected.back()) != 0) {
          expected += "|";
        }
        expected += std::to_string(longest->id) + "|";
        at += longest->content.size();
      } else {
        expected.push_back(text[at++]);
      }
    }
    if (std::isalpha(expected.back()) != 0) {
      expected += "|";
    }
    ASSERT_EQ(cut(finder, text), expected) << text;
  }
}

}  // namespace
}  // namespace loopbank
