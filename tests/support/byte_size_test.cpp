#include "loopbank/support/byte_size.h"

#include <gtest/gtest.h>

#include "test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;

TEST(ParseBytes, ANumberAndItsUnit) {
  EXPECT_DOUBLE_EQ(parse_bytes("--device-memory", "141GB"), 141e9);
  EXPECT_DOUBLE_EQ(parse_bytes("--device-memory", "0.5TB"), 5e11);
  EXPECT_DOUBLE_EQ(parse_bytes("--device-memory", "80GiB"), 80.0 * 1024 * 1024 * 1024);
  EXPECT_DOUBLE_EQ(parse_bandwidth("--bandwidth", "50GB/s"), 5e10);
  EXPECT_DOUBLE_EQ(parse_bandwidth("--bandwidth", "900MB/s"), 9e8);
}

TEST(ParseBytes, AnythingElseIsToldInOneLine) {
  for (const char* text : {"", "141", "141 GB", "GB", "-1GB", "0GB", "infGB", "141gb", "50GB/s"}) {
    SCOPED_TRACE(text);
    const auto error =
        error_of(ErrorCode::kConfig, [&] { (void)parse_bytes("--device-memory", text); });
    expect_contains(error, "--device-memory: expected bytes such as 141GB, 80GiB or 512MB, got \"");
    expect_contains(error, std::string("\"") + text + "\"");
  }
  for (const char* text : {"", "50", "50GB", "50/s", "50Gb/s", "50GB/min"}) {
    SCOPED_TRACE(text);
    const auto error =
        error_of(ErrorCode::kConfig, [&] { (void)parse_bandwidth("--bandwidth", text); });
    expect_contains(error, "--bandwidth: expected a bandwidth such as 50GB/s or 900MB/s, got \"");
  }
}

}  // namespace
}  // namespace loopbank
