#include "loopbank/support/statistics.h"

#include <gtest/gtest.h>

namespace loopbank {
namespace {

TEST(Median, IsTheMiddleOrTheMeanOfTheTwoInTheMiddle) {
  EXPECT_EQ(median({}), 0.0);
  EXPECT_EQ(median({3.0}), 3.0);
  EXPECT_EQ(median({9.0, 1.0, 5.0}), 5.0);
  EXPECT_EQ(median({8.0, 1.0, 4.0, 2.0}), 3.0);
}

}  // namespace
}  // namespace loopbank
