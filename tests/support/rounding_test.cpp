#include "loopbank/support/rounding.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace loopbank {
namespace {

TEST(Rounding, StepsAndMultiplesAreCountedUp) {
  EXPECT_EQ(divide_up(12, 4), 3);
  EXPECT_EQ(divide_up(13, 4), 4);
  EXPECT_EQ(round_up(12, 4), 12);
  EXPECT_EQ(round_up(13, 4), 16);
  EXPECT_EQ(round_up(0, 4), 0);
}

TEST(Rounding, PartsAreAboutAsLarge) {
  EXPECT_EQ(equal_parts(704, 512, 32), 352);
  EXPECT_EQ(equal_parts(528, 512, 32), 288);  // not 512 and 16
  EXPECT_EQ(equal_parts(100, 512, 32), 128);
  EXPECT_EQ(equal_parts<int64_t>(1024, 661), 512);
  EXPECT_EQ(equal_parts(65, 64), 33);
}

}  // namespace
}  // namespace loopbank
