#include "loopbank/support/progress.h"

#include <gtest/gtest.h>

namespace loopbank {
namespace {

TEST(FormatDuration, ShowsHoursOnlyWhereThereAreSome) {
  EXPECT_EQ(format_duration(0), "0:00");
  EXPECT_EQ(format_duration(59.4), "0:59");
  EXPECT_EQ(format_duration(59.6), "1:00");
  EXPECT_EQ(format_duration(123), "2:03");
  EXPECT_EQ(format_duration(3723), "1:02:03");
  EXPECT_EQ(format_duration(100 * 3600.0), "100:00:00");
  EXPECT_EQ(format_duration(-5), "0:00");
}

TEST(FormatTimeLeft, TwoUnitsAtMost) {
  EXPECT_EQ(format_time_left(-1), "0 s");
  EXPECT_EQ(format_time_left(89.4), "89 s");
  EXPECT_EQ(format_time_left(89.6), "1 min");
  EXPECT_EQ(format_time_left(12.4 * 60), "12 min");
  EXPECT_EQ(format_time_left(59.6 * 60), "1 h 0 min");
  EXPECT_EQ(format_time_left(65 * 60), "1 h 5 min");
  EXPECT_EQ(format_time_left(51 * 3600.0), "2 d 3 h");
}

TEST(FormatCount, KeepsOneDecimalAboveAThousand) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1300), "1.3 k");
  EXPECT_EQ(format_count(162.2e6), "162.2 M");
  EXPECT_EQ(format_count(13920501760.0), "13.9 G");
  EXPECT_EQ(format_count(2.5e15), "2500.0 T");
  EXPECT_EQ(format_count(-1300), "-1.3 k");
}

TEST(FormatCount, ARoundedValueMovesToTheNextUnit) {
  EXPECT_EQ(format_count(999.7), "1.0 k");
  EXPECT_EQ(format_count(999960), "1.0 M");
}

TEST(FormatBytes, UsesDecimalUnits) {
  EXPECT_EQ(format_bytes(12), "12 B");
  EXPECT_EQ(format_bytes(12e6), "12.0 MB");
  EXPECT_EQ(format_bytes(4.6e9), "4.6 GB");
}

TEST(Progress, InAPipeTheFirstAndTheLastLineAreShownAndNoneInBetween) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress(std::chrono::seconds(3600));
    ASSERT_FALSE(progress.on_terminal());
    progress.update("step 1");
    progress.update("step 2");
    progress.update("step 3");
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "step 1\nstep 3\n");
}

TEST(Progress, FinishTwiceSaysNothingTwice) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress(std::chrono::seconds(0));
    progress.update("step 1");
    progress.finish();
    progress.finish();
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "step 1\n");
}

}  // namespace
}  // namespace loopbank
