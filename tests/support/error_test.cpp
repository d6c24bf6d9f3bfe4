#include "loopbank/support/error.h"

#include <gtest/gtest.h>

#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

TEST(Error, CarriesItsCodeAndTheFormattedSentence) {
  const auto message = testing::error_of(ErrorCode::kShape, [] {
    fail(ErrorCode::kShape, "{}: expected {} rows, got {}", "softmax", 3, 4);
  });
  EXPECT_EQ(message, "softmax: expected 3 rows, got 4");
}

TEST(Error, ExitStatusIsNeverZeroAndTellsTheKindsApart) {
  EXPECT_EQ(exit_status(ErrorCode::kConfig), 2);
  EXPECT_EQ(exit_status(ErrorCode::kShape), 3);
  EXPECT_EQ(exit_status(ErrorCode::kDtype), 3);
  EXPECT_EQ(exit_status(ErrorCode::kData), 4);
  EXPECT_EQ(exit_status(ErrorCode::kCheckpoint), 5);
  EXPECT_EQ(exit_status(ErrorCode::kDevice), 6);
}

}  // namespace
}  // namespace loopbank
