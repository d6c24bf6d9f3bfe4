#include "loopbank/infer/text_stream.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "loopbank/support/random.h"
#include "loopbank/support/utf8.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;

const std::string kReplaced = "\xEF\xBF\xBD";

/// A text with the byte at which each of its characters begins among those it was read from.
struct Decoded {
  std::vector<std::string> characters;
  std::vector<size_t> origins;  ///< of each byte, its character
};

/// Well-formed characters where there are any, U+FFFD for every other byte.
Decoded decode(const std::string& bytes) {
  Decoded decoded;
  for (size_t i = 0; i < bytes.size();) {
    size_t length = 1;
    while (length <= 4 && !is_valid_utf8(bytes.substr(i, length))) {
      ++length;
    }
    const bool is_valid = length <= 4 && i + length <= bytes.size();
    decoded.origins.insert(decoded.origins.end(), is_valid ? length : 1, decoded.characters.size());
    decoded.characters.push_back(is_valid ? bytes.substr(i, length) : kReplaced);
    i += is_valid ? length : 1;
  }
  return decoded;
}

struct Expected {
  std::string text;
  std::string stop;
  std::vector<int64_t> offsets;
};

/// The shortest beginning that ends with a stop string, without the longest such.
Expected by_definition(const std::vector<std::string>& tokens,
                       const std::vector<std::string>& stops) {
  std::string bytes;
  std::vector<size_t> begins;
  for (const auto& token : tokens) {
    begins.push_back(bytes.size());
    bytes += token;
  }
  const auto decoded = decode(bytes);
  Expected expected;
  for (size_t i = 0; i < decoded.characters.size() && expected.stop.empty(); ++i) {
    expected.text += decoded.characters[i];
    for (const auto& stop : stops) {
      if (expected.text.ends_with(stop) && stop.size() > expected.stop.size()) {
        expected.stop = stop;
      }
    }
  }
  expected.text.resize(expected.text.size() - expected.stop.size());
  const auto length = static_cast<int64_t>(decode(expected.text).characters.size());
  for (const auto begin : begins) {
    const auto at = begin < bytes.size() ? decoded.origins[begin] : decoded.characters.size();
    expected.offsets.push_back(std::min(length, static_cast<int64_t>(at)));
  }
  return expected;
}

/// A short text over few characters, so that stop strings are often there and often nearly.
std::string random_text(RandomStream& random, uint64_t most, bool any_bytes) {
  static const std::vector<std::string> kCharacters = {
      "a", "b", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", kReplaced};
  std::string text;
  for (uint64_t i = random.below(most + 1); i > 0; --i) {
    auto character = kCharacters[random.below(kCharacters.size())];
    if (any_bytes && random.below(4) == 0) {
      character.resize(random.below(character.size() + 1));
    }
    text += any_bytes && random.below(20) == 0 ? "\x9F" : character;
  }
  return text;
}

std::vector<std::string> random_cuts(RandomStream& random, std::string text) {
  std::vector<std::string> tokens;
  while (!text.empty() || random.below(8) == 0) {
    const auto length = std::min<size_t>(text.size(), random.below(6));
    tokens.push_back(text.substr(0, length));
    text.erase(0, length);
  }
  return tokens;
}

TEST(TextStream, IsTheDefinitionWhateverTheCuts) {
  RandomStream random(/*seed=*/2);
  int stopped = 0;
  for (int trial = 0; trial < 20000; ++trial) {
    std::vector<std::string> stops(random.below(4));
    for (auto& stop : stops) {
      while (stop.empty()) {
        stop = random_text(random, 4, false);
      }
    }
    const auto tokens = random_cuts(random, random_text(random, 16, trial % 2 == 0));
    const auto expected = by_definition(tokens, stops);
    TextStream stream(stops);
    std::string text;
    for (const auto& token : tokens) {
      const auto piece = stream.push(token);
      ASSERT_TRUE(is_valid_utf8(piece));
      text += piece;
    }
    text += stream.finish();
    ASSERT_EQ(text, expected.text) << trial;
    ASSERT_EQ(stream.stop_string(), expected.stop) << trial;
    ASSERT_EQ(stream.stopped(), !expected.stop.empty()) << trial;
    ASSERT_EQ(stream.offsets(), expected.offsets) << trial;
    stopped += stream.stopped() ? 1 : 0;
  }
  EXPECT_GT(stopped, 2000);
  EXPECT_LT(stopped, 18000);
}

TEST(TextStream, HoldsBackOnlyWhatMayBecomeAStopString) {
  TextStream stream({"\nEnd", "##"});
  EXPECT_EQ(stream.push("one\n"), "one");
  EXPECT_EQ(stream.push("En"), "");
  EXPECT_EQ(stream.push("ter#"), "\nEnter");
  EXPECT_EQ(stream.push(" \nEn"), "# ");
  EXPECT_EQ(stream.push("d of it"), "");
  EXPECT_TRUE(stream.stopped());
  EXPECT_EQ(stream.stop_string(), "\nEnd");
  EXPECT_EQ(stream.push("more"), "");
  EXPECT_EQ(stream.finish(), "");
  EXPECT_EQ(stream.offsets(), (std::vector<int64_t>{0, 4, 6, 10, 11, 11}));
}

TEST(TextStream, WhatWasHeldBackComesAtTheEnd) {
  TextStream stream({"abc"});
  EXPECT_EQ(stream.push("xab"), "x");
  EXPECT_EQ(stream.finish(), "ab");
  EXPECT_FALSE(stream.stopped());
}

TEST(TextStream, TheStopStringCompleteFirstEndsTheText) {
  TextStream stream({"abcd", "b"});
  EXPECT_EQ(stream.push("abcd"), "a");
  EXPECT_EQ(stream.stop_string(), "b");
  TextStream same_end({"b", "ab"});
  EXPECT_EQ(same_end.push("xab"), "x");
  EXPECT_EQ(same_end.stop_string(), "ab");
}

TEST(TextStream, StopStringsThatCannotBeFoundAreRefused) {
  expect_contains(error_of(ErrorCode::kConfig,
                           [] {
                             TextStream stream({"a", ""});
                           }),
                  "\"stop\" expects texts that are not empty, in UTF-8, got an empty one.");
  expect_contains(error_of(ErrorCode::kConfig, [] { TextStream stream({"\xFF"}); }),
                  "got one with other bytes.");
}

}  // namespace
}  // namespace loopbank
