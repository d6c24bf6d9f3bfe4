#include "loopbank/infer/utf8_stream.h"

#include <gtest/gtest.h>

#include "loopbank/data/text_reader.h"
#include "loopbank/support/utf8.h"

namespace loopbank {
namespace {

const std::string kBad = "\xEF\xBF\xBD";

TEST(Utf8Stream, ACharacterComesOutWithItsLastByte) {
  // 2, 3 and 4 bytes, with first bytes that narrow what may follow.
  for (const std::string character : {"\xC3\xA9", "\xE2\x82\xAC", "\xE0\xA4\x85", "\xED\x95\x9C",
                                      "\xF0\x9F\x98\x80", "\xF4\x8F\xBF\xBF"}) {
    Utf8Stream stream;
    for (size_t i = 0; i + 1 < character.size(); ++i) {
      EXPECT_EQ(stream.push(character.substr(i, 1)), "");
    }
    EXPECT_EQ(stream.push(character.substr(character.size() - 1) + "a"), character + "a");
    EXPECT_EQ(stream.finish(), "");
  }
}

TEST(Utf8Stream, WhatBeginsNoCharacterIsReplaced) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\x80z"), "a" + kBad + "z");
  EXPECT_EQ(stream.push("\xC3("), kBad + "(");
  EXPECT_EQ(stream.push("\xED\xA0"), kBad + kBad);  // a surrogate
  EXPECT_EQ(stream.push("\xFF"), kBad);
}

TEST(Utf8Stream, WhatIsLeftAtTheEndIsReplaced) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xF0\x9F"), "a");
  EXPECT_EQ(stream.finish(), kBad + kBad);
  EXPECT_EQ(stream.push("b"), "b");
}

TEST(Utf8Stream, AnyBytesGiveWellFormedText) {
  Utf8Stream stream;
  std::string text;
  uint32_t state = 12345;
  for (int i = 0; i < 5000; ++i) {
    state = state * 1664525U + 1013904223U;
    text += stream.push(std::string(1, static_cast<char>(state >> 24U)));
    ASSERT_TRUE(is_valid_utf8(text)) << i;
  }
}

}  // namespace
}  // namespace loopbank
