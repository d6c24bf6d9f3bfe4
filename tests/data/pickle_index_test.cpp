#include "loopbank/data/pickle_index.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <string_view>

#include "tests/data/pickled_pairs.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::Pairs;
using testing::pickled_pairs;

Pairs read(const std::string& bytes) {
  return read_pickled_pairs(std::as_bytes(std::span(bytes)), "a.pbin");
}

std::string pickle_error(const std::string& bytes) {
  return error_of(ErrorCode::kData, [&] { (void)read(bytes); });
}

/// A text with zeros in it.
template <size_t N>
std::string text(const char (&characters)[N]) {
  return {characters, N - 1};
}

/// [(0, 8), (8, 300), (308, 70000)] opcode by opcode. Protocol 2 and 3 number what they note, 4 and
/// 5 do not, and stand in a frame of 28 bytes.
const std::string kProtocol2 =
    text("\x80\x02]q\x00(K\x00K\x08\x86q\x01K\x08M,\x01\x86q\x02M4\x01Jp\x11\x01\x00\x86q\x03") +
    "e.";
const std::string kProtocol4 =
    text(
        "\x80\x04\x95\x1c\x00\x00\x00\x00\x00\x00\x00]\x94(K\x00K\x08\x86\x94K\x08M,\x01\x86\x94M4"
        "\x01Jp\x11\x01\x00\x86\x94") +
    "e.";
const Pairs kPairs = {{0, 8}, {8, 300}, {308, 70000}};

std::string with_protocol(std::string bytes, char protocol) {
  bytes[1] = protocol;
  return bytes;
}

TEST(PickledPairs, ReadsProtocols2To5) {
  EXPECT_EQ(read(kProtocol2), kPairs);
  EXPECT_EQ(read(with_protocol(kProtocol2, '\x03')), kPairs);
  EXPECT_EQ(read(kProtocol4), kPairs);
  EXPECT_EQ(read(with_protocol(kProtocol4, '\x05')), kPairs);
}

TEST(PickledPairs, TheHelperOfTheTestsWritesTheSameBytes) {
  EXPECT_EQ(pickled_pairs(kPairs, 2), kProtocol2);
  EXPECT_EQ(pickled_pairs(kPairs, 4), kProtocol4);
}

TEST(PickledPairs, ReadsNoneOneAndManyInBatches) {
  for (const size_t count :
       {size_t{0}, size_t{1}, size_t{2}, size_t{999}, size_t{1000}, size_t{1001}, size_t{2500}}) {
    Pairs pairs;
    for (size_t i = 0; i < count; ++i) {
      pairs.emplace_back(static_cast<int64_t>(i * i), static_cast<int64_t>(i));
    }
    for (const int protocol : {2, 3, 4, 5}) {
      EXPECT_EQ(read(pickled_pairs(pairs, protocol)), pairs) << count << " " << protocol;
    }
  }
}

TEST(PickledPairs, ReadsNumbersOfEveryWidth) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  const Pairs pairs = {{0, 255},
                       {256, 65535},
                       {65536, 2147483647},
                       {2147483648, 4294967296},
                       {int64_t{1} << 47, int64_t{1} << 55},
                       {kMost, kMost - 1}};
  EXPECT_EQ(read(pickled_pairs(pairs, 4)), pairs);
  EXPECT_EQ(read(text("\x80\x02]\x8a\x00K\x05\x86") + "a."), (Pairs{{0, 5}}));
}

TEST(PickledPairs, TheLastPairMayStandAloneBehindABatch) {
  EXPECT_EQ(
      read(text("\x80\x04]\x94(K\x00K\x08\x86\x94") + "e" + text("K\x08K\x04\x86\x94") + "a."),
      (Pairs{{0, 8}, {8, 4}}));
}

TEST(PickledPairs, PassesFramesWhereverTheyBegin) {
  EXPECT_EQ(
      read(text("\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00]\x94\x95\x08\x00\x00\x00\x00\x00"
                "\x00\x00K\x00K\x08\x86\x94") +
           "a."),
      (Pairs{{0, 8}}));
}

TEST(PickledPairs, RefusesWhatWouldRunCode) {
  // pickle.loads of this calls posix.system: GLOBAL, a text, REDUCE.
  EXPECT_EQ(pickle_error(text("\x80\x02") + "cposix\nsystem\nU\x02ls\x85R."),
            "a.pbin: expected a part of such a list at byte 2 of the pickled index, got opcode "
            "0x63. The index must be a list of (offset, length) pairs; nothing else is read from a "
            "pickle, which may hold code.");
  for (const std::string_view opcode : {"\x93", "R", "b", "\x81", "i", "o", "\x92", "P", "Q"}) {
    expect_contains(pickle_error(text("\x80\x04]\x94") + std::string(opcode)), "at byte 4");
  }
}

TEST(PickledPairs, RefusesOtherShapesOfList) {
  const auto head = text("\x80\x04]\x94");
  const std::string pair = text("K\x01K\x02\x86\x94");
  for (const auto& [bytes, part] : std::vector<std::pair<std::string, std::string>>{
           {head + text("(K\x01K\x02K\x03"), "expected two numbers from 0 in each pair at byte 9"},
           {head + text("(K\x01\x86"), "got opcode 0x86"},
           {head + text("(K\x01") + "e.", "got opcode 0x65"},
           {head + "(" + pair + ".", "got opcode 0x2e"},
           {head + pair + ".", "got opcode 0x2e"},
           {head + pair + pair + "a.", "got opcode 0x61"},
           {head + "((" + pair + "e.", "got opcode 0x28"},
           {head + "]", "got opcode 0x5d"},
           {head + "a.", "got opcode 0x61"},
           {head + "e.", "got opcode 0x65"},
           {text("\x80\x04K\x01"), "expected two numbers"},
           {text("\x80\x04."), "got opcode 0x2e"},
           {text("\x80\x04}\x94."), "got opcode 0x7d"},
           {text("\x80\x04(\x86"), "got opcode 0x28"},
           {head + "J" + testing::bytes_of<int32_t>({-1}), "got -1"},
           {head + text("\x8a\x01\xff"), "got -1"},
           {head + text("\x8a\x09"), "expected a number below 2^63 at byte 4"},
           {head + ".more", "expected the end behind the list at byte 5"},
           {text("\x80\x04\x95\x09\x00\x00\x00\x00\x00\x00\x00]\x94."), "a frame within the file"},
           {text("\x80\x06]\x94."), "a pickle of protocol 2 to 5 at byte 0"},
           {text("(lp0\n."), "a pickle of protocol 2 to 5"},
       }) {
    expect_contains(pickle_error(bytes), part);
  }
}

TEST(PickledPairs, RefusesEveryBeginningOfAListThatGoesOn) {
  for (const auto& whole : {kProtocol2, kProtocol4}) {
    for (size_t length = 0; length < whole.size(); ++length) {
      expect_contains(pickle_error(whole.substr(0, length)), "a.pbin: expected ");
    }
  }
}

}  // namespace
}  // namespace loopbank
