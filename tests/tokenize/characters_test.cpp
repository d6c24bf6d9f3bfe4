/// Characters at the ends of any bytes, and normal forms as of Unicode 9.

#include "loopbank/tokenize/characters.h"

#include <gtest/gtest.h>

#include "loopbank/tokenize/code_points.h"

namespace loopbank {
namespace {

TEST(Characters, TheEndsOfATextAreWholeCharactersOrNothing) {
  EXPECT_EQ(first_character("\u00E9a"), U'\u00E9');
  EXPECT_EQ(last_character("a\U0001F600"), U'\U0001F600');
  EXPECT_EQ(first_character("a"), U'a');
  for (const std::string broken : {"", "\xC3", "\xA9", "\xF0\x9F\x98", "\xED\xA0\x80"}) {
    EXPECT_FALSE(first_character(broken)) << broken.size();
    EXPECT_FALSE(last_character(broken)) << broken.size();
  }
  EXPECT_FALSE(last_character("a\xC3"));
  EXPECT_FALSE(first_character("\x80\x80\x80\x80\x80"));
}

TEST(Characters, WhiteSpaceIsCountedInBytes) {
  EXPECT_EQ(leading_white_space(" \t\u3000a "), 5U);
  EXPECT_EQ(trailing_white_space("a\u0085\u2009"), 5U);
  EXPECT_EQ(leading_white_space("\u200B "), 0U) << "a zero-width space is none";
  EXPECT_EQ(trailing_white_space("  "), 2U);
  EXPECT_EQ(trailing_white_space(""), 0U);
}

TEST(Characters, LowerCaseOfEveryCharacterIsOneButForOne) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c < 0xE000) {
      continue;
    }
    std::string lower;
    append_lower_case(c, lower);
    size_t at = 0;
    (void)next_code_point(lower, at);
    ASSERT_EQ(at != lower.size(), c == 0x130) << static_cast<uint32_t>(c);
  }
}

TEST(Characters, MarksAreThoseOfUnicode9) {
  for (const char32_t mark : {0x301, 0x489, 0x903, 0x1CF2, 0x20E3, 0x1D165}) {
    EXPECT_TRUE(is_mark(mark)) << static_cast<uint32_t>(mark);
  }
  for (const char32_t other : {0x61, 0x7FD, 0x1ABF, 0x1CF7, 0x11D31, 0x1E08F}) {
    EXPECT_FALSE(is_mark(other)) << static_cast<uint32_t>(other);
  }
}

TEST(Characters, ANormalFormIsTheSameInPartsThatStandAlone) {
  const std::string text = "a\u0301b \u1100\u1161 \uFB01 e\u0323\u0301";
  EXPECT_EQ(to_normal_form(text, NormalForm::kNfc), "\u00E1b \uAC00 \uFB01 \u1EB9\u0301");
  EXPECT_EQ(to_normal_form(text, NormalForm::kNfkd), "a\u0301b \u1100\u1161 fi e\u0323\u0301");
  EXPECT_EQ(to_normal_form("", NormalForm::kNfc), "");
  // The letter before a mark is ASCII, and ends a run of ASCII.
  EXPECT_EQ(to_normal_form("xyze\u0301", NormalForm::kNfc), "xyz\u00E9");
  // A letter of Unicode 14 stands alone: nothing is composed or put in order across it.
  EXPECT_EQ(to_normal_form("a\u1ABF\u0316\u0301", NormalForm::kNfc), "a\u1ABF\u0316\u0301");
}

TEST(Characters, BytesThatAreNoCharactersAreReplacedOneByOne) {
  EXPECT_EQ(with_replacement_characters("a\xFF\xC3 \xE2\x82"), "a\uFFFD\uFFFD \uFFFD\uFFFD");
  EXPECT_EQ(with_replacement_characters("\u00E9"), "\u00E9");
}

}  // namespace
}  // namespace loopbank
