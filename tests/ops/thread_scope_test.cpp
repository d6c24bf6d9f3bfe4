#include "loopbank/ops/thread_scope.h"

#include <gtest/gtest.h>
#include <omp.h>

namespace loopbank::ops {
namespace {

TEST(ThreadScope, HoldsUntilItGoes) {
  const int before = omp_get_max_threads();
  {
    const ThreadScope scope(before + 1);
    EXPECT_EQ(omp_get_max_threads(), before + 1);
  }
  EXPECT_EQ(omp_get_max_threads(), before);
  const ThreadScope as_they_are(0);
  EXPECT_EQ(omp_get_max_threads(), before);
}

}  // namespace
}  // namespace loopbank::ops
