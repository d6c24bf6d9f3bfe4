#include "loopbank/support/duration.h"

#include <gtest/gtest.h>

#include "test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;

TEST(ParseDuration, ANumberAndItsUnit) {
  EXPECT_DOUBLE_EQ(parse_duration("--time-limit", "300s"), 300.0);
  EXPECT_DOUBLE_EQ(parse_duration("--time-limit", "5min"), 300.0);
  EXPECT_DOUBLE_EQ(parse_duration("--time-limit", "1.5h"), 5400.0);
  EXPECT_DOUBLE_EQ(parse_duration("--time-limit", "0.5s"), 0.5);
}

TEST(ParseDuration, AnythingElseIsToldInOneLine) {
  for (const char* text : {"", "300", "5 min", "5m", "min", "-5min", "0s", "infs", "nanh",
                           "5minutes", "1h30min", "+5s", "0x5s"}) {
    SCOPED_TRACE(text);
    const auto error =
        error_of(ErrorCode::kConfig, [&] { (void)parse_duration("--time-limit", text); });
    expect_contains(error, "--time-limit: expected a time such as 300s, 5min or 1.5h, got \"");
    expect_contains(error, std::string("\"") + text + "\"");
  }
}

}  // namespace
}  // namespace loopbank
