#include "loopbank/tokenize/pretokenizer_json.h"

#include <gtest/gtest.h>

#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using Kind = PreTokenizerStep::Kind;
using testing::error_of;

std::vector<PreTokenizerStep> steps_of(const std::string& text) {
  const auto json = nlohmann::json::parse(text);
  const std::string where = "t.json";
  return read_pre_tokenizer(JsonPart(json, "pre_tokenizer", where));
}

std::string refusal_of(const std::string& text) {
  return error_of(ErrorCode::kData, [&] { (void)steps_of(text); });
}

TEST(PreTokenizerJson, ReadsEveryKindAndWritesItAgain) {
  const std::vector<PreTokenizerStep> steps = {
      {.kind = Kind::kByteLevel,
       .add_prefix_space = true,
       .use_regex = false,
       .trim_offsets = false},
      {.kind = Kind::kDigits, .individual_digits = false},
      {.kind = Kind::kSplit,
       .pattern = "\\p{L}",
       .behavior = SplitBehavior::kMergedWithNext,
       .invert = true},
      {.kind = Kind::kSplit,
       .pattern = "a",
       .pattern_is_text = true,
       .behavior = SplitBehavior::kContiguous},
      {.kind = Kind::kPunctuation, .behavior = SplitBehavior::kRemoved},
      {.kind = Kind::kMetaspace,
       .sign = "_",
       .prepend_scheme = PrependScheme::kFirst,
       .split = false},
      {.kind = Kind::kWhitespace},
      {.kind = Kind::kWhitespaceSplit},
      {.kind = Kind::kCharDelimiterSplit, .sign = "\u00E9"},
      {.kind = Kind::kBertPreTokenizer},
      {.kind = Kind::kFixedLength, .length = 3}};
  EXPECT_EQ(steps_of(write_pre_tokenizer(steps).dump()), steps);
  for (const auto& step : steps) {
    EXPECT_EQ(steps_of(write_pre_tokenizer({step}).dump()), std::vector{step});
  }
  EXPECT_EQ(write_pre_tokenizer({}).dump(), "null");
}

TEST(PreTokenizerJson, SequencesMayBeNestedAndEmpty) {
  EXPECT_TRUE(steps_of("null").empty());
  EXPECT_TRUE(steps_of(R"({"type":"Sequence","pretokenizers":[]})").empty());
  const auto steps = steps_of(
      R"({"type":"Sequence","pretokenizers":[{"type":"Sequence","pretokenizers":[
          {"type":"WhitespaceSplit"}]},{"type":"Digits","individual_digits":true}]})");
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_EQ(steps[0].kind, Kind::kWhitespaceSplit);
  EXPECT_EQ(steps[1].kind, Kind::kDigits);
}

TEST(PreTokenizerJson, LeavesOutWhatHasADefault) {
  EXPECT_EQ(steps_of(R"({"type":"Punctuation"})").at(0).behavior, SplitBehavior::kIsolated);
  EXPECT_EQ(steps_of(R"({"type":"FixedLength"})").at(0).length, 5);
  EXPECT_TRUE(steps_of(R"({"type":"ByteLevel","add_prefix_space":true,"trim_offsets":false})")
                  .at(0)
                  .use_regex);
  const auto metaspace =
      steps_of(R"({"type":"Metaspace","replacement":"_","add_prefix_space":true,"str_rep":"_"})");
  EXPECT_EQ(metaspace.at(0).prepend_scheme, PrependScheme::kAlways);
  EXPECT_TRUE(metaspace.at(0).split);
}

TEST(PreTokenizerJson, WhatIsNotSupportedIsNamed) {
  EXPECT_EQ(
      refusal_of(R"({"type":"UnicodeScripts"})"),
      "t.json: pre_tokenizer.type: expected ByteLevel, Digits, Split, Punctuation, Metaspace, "
      "Whitespace, WhitespaceSplit, CharDelimiterSplit, BertPreTokenizer, FixedLength or a "
      "Sequence of them, got \"UnicodeScripts\": it is not supported.");
  EXPECT_EQ(refusal_of(R"({"type":"Split","pattern":{"String":"a"},"behavior":"isolated"})"),
            "t.json: pre_tokenizer.behavior: expected one of \"Removed\", \"Isolated\", "
            "\"MergedWithPrevious\", \"MergedWithNext\", \"Contiguous\", got \"isolated\".");
  EXPECT_EQ(refusal_of(R"({"type":"Metaspace","replacement":"ab"})"),
            "t.json: pre_tokenizer.replacement: expected one character, got \"ab\".");
  EXPECT_EQ(refusal_of(R"({"type":"Metaspace","replacement":"_","add_prefix_space":false})"),
            "t.json: pre_tokenizer.add_prefix_space: expected true, or \"prepend_scheme\": "
            "\"never\" beside it, got false.");
  EXPECT_EQ(refusal_of(R"({"type":"FixedLength","length":0})"),
            "t.json: pre_tokenizer.length: expected a number of characters from 1 on, got 0.");
  std::string nested = R"({"type":"WhitespaceSplit"})";
  for (int i = 0; i < 17; ++i) {
    nested = R"({"type":"Sequence","pretokenizers":[)" + nested + "]}";
  }
  testing::expect_contains(refusal_of(nested), "expected at most 16 Sequences within each other");
}

}  // namespace
}  // namespace loopbank
