#include "loopbank/eval/python_text.h"

#include <gtest/gtest.h>

namespace loopbank {
namespace {

TEST(PythonRstrip, TakesUnicodeWhiteSpaceOffTheEndAlone) {
  EXPECT_EQ(python_rstrip(" a b \t\r\n"), " a b");
  EXPECT_EQ(python_rstrip("a\xC2\xA0\xE3\x80\x80"), "a");      // U+00A0, U+3000
  EXPECT_EQ(python_rstrip("a\xE2\x80\x8B"), "a\xE2\x80\x8B");  // U+200B is none
  EXPECT_EQ(python_rstrip(" \n"), "");
  EXPECT_EQ(python_rstrip(""), "");
}

TEST(PythonStrip, TakesTheWhiteSpaceOfUnicodeOffBothEnds) {
  EXPECT_EQ(python_strip(" \t\n a b \v\f\r"), "a b");
  EXPECT_EQ(python_strip("\xC2\xA0"
                         "a"
                         "\xE2\x80\xA9\xE3\x80\x80"),
            "a");  // U+00A0, U+2029, U+3000
  EXPECT_EQ(python_strip("\x1C"
                         "a"
                         "\xE2\x80\x8B"),
            "a\xE2\x80\x8B");  // U+200B is no white space
  EXPECT_EQ(python_strip("  "), "");
  EXPECT_EQ(python_strip(""), "");
}

TEST(PythonJoinWords, MakesEveryRunOneSpace) {
  EXPECT_EQ(python_join_words(" a \n\n b\xC2\xA0"
                              "c  "),
            "a b c");
  EXPECT_EQ(python_join_words(" \n "), "");
}

TEST(PythonCapitalize, MakesTheRestLower) {
  EXPECT_EQ(python_capitalize("he Saw THE NBC logo."), "He saw the nbc logo.");
  EXPECT_EQ(python_capitalize("[Title] X"), "[title] x");
  EXPECT_EQ(python_capitalize(""), "");
  EXPECT_EQ(python_capitalize("\xC3\xA9"
                              "A\xC3\x89"),
            "\xC3\x89"
            "a\xC3\xA9");                                                                // e acute
  EXPECT_EQ(python_capitalize("\xC5\xBE\xC5\xBD"), "\xC5\xBD\xC5\xBE");                  // z caron
  EXPECT_EQ(python_capitalize("\xD1\x8F\xD0\xAF\xD0\x81"), "\xD0\xAF\xD1\x8F\xD1\x91");  // Cyrillic
  EXPECT_EQ(python_capitalize("\xCE\xB1\xCE\x91"), "\xCE\x91\xCE\xB1");                  // alpha
  EXPECT_EQ(python_capitalize("\xCE\xAF\xCE\x8A"), "\xCE\x8A\xCE\xAF");  // iota, accented
  EXPECT_EQ(python_capitalize("\xE2\x80\x9C"
                              "Ab"),
            "\xE2\x80\x9C"
            "ab");                                         // a quote
  EXPECT_EQ(python_capitalize("a\xC3\x97"), "A\xC3\x97");  // the sign for times has no case
}

TEST(CapitalizeFirst, LeavesTheRest) {
  EXPECT_EQ(capitalize_first("john And I"), "John And I");
  EXPECT_EQ(capitalize_first("\xC3\xBF"
                             "B"),
            "\xC5\xB8"
            "B");  // y with two dots: U+0178
  EXPECT_EQ(capitalize_first("7 Up"), "7 Up");
  EXPECT_EQ(capitalize_first(""), "");
}

}  // namespace
}  // namespace loopbank
