/// The program's front door: version, help, and what a mistyped word gets.

#include <gtest/gtest.h>

#include "program.h"

namespace loopbank::testing {
namespace {

TEST(Program, VersionGoesToStdoutWithStatusZero) {
  const auto result = run_program({"--version"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, "loopbank 0.1.0\n");
  EXPECT_EQ(result.err, "");
}

TEST(Program, NoCommandIsAMistakeThatNamesTheHelp) {
  const auto result = run_program({});
  EXPECT_EQ(result.status, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find("--help"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace loopbank::testing
