/// The PyTorch twin that exports hold, run by Debian's Python where that has PyTorch.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace loopbank::testing {
namespace {

int run_twin_python(const char* arguments) {
  return std::system(
      fmt::format("PYTHONDONTWRITEBYTECODE=1 {} {}", LOOPBANK_PYTHON, arguments).c_str());
}

TEST(Twin, ACachePaddingAndEarlyExitChangeNothingThatTheyShouldNot) {
  if (run_twin_python("-c 'import torch' 2>/dev/null") != 0) {
    GTEST_SKIP() << LOOPBANK_PYTHON << " has no torch (Debian: python3-torch)";
  }
  EXPECT_EQ(run_twin_python(LOOPBANK_SOURCE_DIR "/reference/check_twin.py"), 0);
}

}  // namespace
}  // namespace loopbank::testing
