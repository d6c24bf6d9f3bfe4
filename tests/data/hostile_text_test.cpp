/// Text made to be slow: time grows with the length of a word or run, not with its square.

#include <gtest/gtest.h>

#include <ctime>
#include <functional>
#include <ostream>

#include "loopbank/support/random.h"
#include "loopbank/tokenize/tokenizer.h"
#include "tests/support/test_directory.h"
#include "tests/tokenize/small_tokenizer.h"

namespace loopbank {
namespace {

using testing::Merges;
using testing::overlapping_merges;
using testing::pieces;
using testing::small_tokenizer;
using testing::TestDirectory;

/// A kind of text of any length, from pieces drawn by chance.
struct Hostile {
  std::string name;
  std::vector<std::string> pieces;
};

std::ostream& operator<<(std::ostream& out, const Hostile& kind) {
  return out << kind.name;
}

std::string text_of(const Hostile& kind, size_t num_bytes) {
  RandomStream random(21);
  std::string text;
  while (text.size() < num_bytes) {
    text += kind.pieces[random.below(kind.pieces.size())];
  }
  return text;
}

/// Of this thread, so that other tests on the same cores do not count. The better of two.
double seconds_to_encode(const Tokenizer& tokenizer, const std::string& text) {
  double best = 1e9;
  for (int i = 0; i < 2; ++i) {
    timespec before{};
    timespec after{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    const auto ids = tokenizer.encode(text);
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    EXPECT_EQ(tokenizer.decode(ids), text);
    best = std::min(best, static_cast<double>(after.tv_sec - before.tv_sec) +
                              1e-9 * static_cast<double>(after.tv_nsec - before.tv_nsec));
  }
  return best;
}

class HostileText : public ::testing::TestWithParam<Hostile> {};

TEST_P(HostileText, TakesTimeInProportionToItsLength) {
  auto merges = overlapping_merges();
  for (const auto& [left, right] : Merges{{" ", " "},
                                          {"  ", "  "},
                                          {"1", "1"},
                                          {"-", "-"},
                                          {"--", "--"},
                                          {"\xCC", "\x81"},
                                          {"\xF0", "\x9F"},
                                          {"\n", "\n"},
                                          {"\xC2", "\xA0"},
                                          {"\xE3", "\x80"},
                                          {"\xE4", "\xB8"},
                                          {std::string(1, 0), std::string(1, 0)}}) {
    merges.emplace_back(left, right);
  }
  const TestDirectory directory;
  const auto tokenizer =
      Tokenizer::load(directory.write("tokenizer.json", small_tokenizer(merges).dump()));
  constexpr size_t kLength = size_t{1} << 17;
  constexpr size_t kTimes = 8;
  const auto text = text_of(GetParam(), kLength);
  const auto longer = text_of(GetParam(), kTimes * kLength);
  // 8 times the text takes 8 times as long, and 64 times where time is quadratic; the ratio of
  // kinds that fit the caches at first is 8 to 12.
  const auto seconds = seconds_to_encode(tokenizer, text);
  const auto seconds_longer = seconds_to_encode(tokenizer, longer);
  EXPECT_LT(seconds_longer, 3 * kTimes * seconds)
      << seconds << " s for " << text.size() << " bytes, " << seconds_longer << " s for "
      << longer.size();
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, HostileText,
    ::testing::Values(Hostile{"OneLetter", {"a"}}, Hostile{"Letters", {"a", "b", "c", "x"}},
                      Hostile{"Spaces", {" "}}, Hostile{"Newlines", {"\n"}},
                      Hostile{"WhiteSpace", {" ", "\n", "\t", "\r\n", "\xC2\xA0", "\xE3\x80\x80"}},
                      Hostile{"Digits", {"1", "2", "0"}},
                      Hostile{"Punctuation", {"-", "--", "'", "!", "<|endoftext|>"}},
                      Hostile{"Contractions", {"'s", "'", "'ll", "'S"}},
                      Hostile{"CombiningMarks", {"\xCC\x81", "\xCC\x88"}},
                      Hostile{"Emoji", {"\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x9A\x80"}},
                      Hostile{"Ideographs", {"\xE4\xB8\x80", "\xE9\xBE\xA5"}},
                      Hostile{"Zeros", {std::string(1, '\0')}},
                      Hostile{"NoUtf8", {"\xFF", "a\xC3", "\xE2\x82"}}),
    [](const auto& item) { return item.param.name; });

}  // namespace
}  // namespace loopbank
