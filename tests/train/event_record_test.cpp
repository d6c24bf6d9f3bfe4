/// Event files, byte by byte. The bytes of records are those that tensorboard 2.21 and protobuf 7.36
/// write for the same events.

#include "loopbank/train/event_record.h"

#include <gtest/gtest.h>

#include <string>

namespace loopbank {
namespace {

std::string bytes_of_hex(std::string_view hex) {
  std::string bytes;
  for (size_t at = 0; at < hex.size(); at += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(at, 2)), nullptr, 16));
  }
  return bytes;
}

constexpr double kTime = 1700000000.5;

const Event kEvent = {.wall_time = kTime,
                      .step = 300,
                      .scalars = {{.tag = "train/loss", .value = 2.5}},
                      .histograms = {{.tag = "halting",
                                      .low = 1.0,
                                      .high = 3.0,
                                      .count = 4.0,
                                      .sum = 7.5,
                                      .sum_of_squares = 15.25,
                                      .limits = {2.0, 3.0},
                                      .buckets = {3.0, 1.0}}}};

constexpr std::string_view kEventHex =
    "7f0000000000000050391acb"
    "0900002040fc54d94110ac022a710a110a0a747261696e2f6c6f737315000020400a5c0a0768616c74696e672a51"
    "09000000000000f03f110000000000000840190000000000001040210000000000001e40290000000000802e40"
    "3210000000000000004000000000000008403a100000000000000840000000000000f03f"
    "345767d2";
constexpr std::string_view kStartHex =
    "1800000000000000a37f4b22"
    "0900002040fc54d9411a0d627261696e2e4576656e743a32"
    "2b353110"
    "0f000000000000006d532b09"
    "0900002040fc54d94110293a020801"
    "6a885b5d";

TEST(Crc32c, IsThatOfRfc3720) {
  EXPECT_EQ(crc32c(""), 0U);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43U);
}

TEST(EventRecord, HasTheBytesThatProtobufWrites) {
  EXPECT_EQ(event_record(kEvent), bytes_of_hex(kEventHex));
  EXPECT_EQ(start_records(kTime, 41), bytes_of_hex(kStartHex));
}

TEST(EventRecord, IsReadBack) {
  const auto start = start_records(kTime, 41);
  const auto file = start + event_record(kEvent) + event_record({.wall_time = kTime, .step = -2});
  const auto records = event_records(file);
  ASSERT_EQ(records.size(), 4U);
  EXPECT_TRUE(records[0].is_start);
  EXPECT_TRUE(records[1].is_start);
  EXPECT_EQ(records[1].end, start.size());
  EXPECT_FALSE(records[2].is_start);
  EXPECT_EQ(records[2].step, 300);
  EXPECT_EQ(records[2].end, start.size() + kEventHex.size() / 2);
  EXPECT_EQ(records[3].step, -2);
  EXPECT_EQ(records[3].end, file.size());
}

TEST(EventRecord, AFileThatIsTornAnywhereEndsBehindItsLastWholeRecord) {
  const auto first = event_record({.wall_time = kTime, .step = 1});
  const auto file = first + event_record(kEvent);
  for (size_t size = 0; size <= file.size(); ++size) {
    const auto records = event_records(std::string_view(file).substr(0, size));
    const size_t whole = size == file.size() ? 2 : size >= first.size() ? 1 : 0;
    EXPECT_EQ(records.size(), whole) << size;
  }
}

TEST(EventRecord, AFileWithAnyBitChangedEndsBeforeIt) {
  const auto first = event_record({.wall_time = kTime, .step = 1});
  const auto file = first + event_record(kEvent);
  for (size_t at = 0; at < file.size(); ++at) {
    for (const int bit : {0, 7}) {
      auto damaged = file;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      EXPECT_EQ(event_records(damaged).size(), at < first.size() ? 0U : 1U) << at;
    }
  }
}

}  // namespace
}  // namespace loopbank
