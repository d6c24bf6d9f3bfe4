#include "loopbank/infer/thread_choice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace loopbank {
namespace {

/// The threads of so many passes of a size, each of which takes what `seconds` says.
template <typename Seconds>
std::vector<int> threads_of(ThreadChoice& choice, int64_t passes, int64_t rows,
                            const Seconds& seconds) {
  std::vector<int> taken;
  for (int64_t pass = 0; pass < passes; ++pass) {
    taken.push_back(choice.threads(rows));
    choice.add(rows, seconds(taken.back()));
  }
  return taken;
}

TEST(ThreadChoice, OneIsTakenWhereItIsAboutAsFastAndAllWhereTheyGain) {
  ThreadChoice choice(2);
  const auto small = [](int threads) { return threads == 1 ? 1.05e-4 : 1e-4; };
  const auto large = [](int threads) { return threads == 1 ? 2e-2 : 1e-2; };
  auto of_small = threads_of(choice, 1000, 1, small);
  auto of_large = threads_of(choice, 1000, 64, large);
  EXPECT_EQ(of_small.front(), 2);  // both ways are tried
  EXPECT_GT(std::count(of_small.begin(), of_small.end(), 1), 900);
  EXPECT_GT(std::count(of_large.begin(), of_large.end(), 2), 900);
  EXPECT_GT(std::count(of_large.begin(), of_large.end(), 1), 0);
}

TEST(ThreadChoice, IsMadeAnewWhenTheMachineChanges) {
  ThreadChoice choice(2);
  (void)threads_of(choice, 100, 8, [](int threads) { return threads == 1 ? 2.0 : 1.0; });
  EXPECT_EQ(choice.threads(8), 2);
  choice.add(8, 1.0);
  // Another program comes: threads now wait for each other.
  const auto busy = [](int threads) { return threads == 1 ? 2.0 : 9.0; };
  const auto taken = threads_of(choice, 400, 8, busy);
  EXPECT_EQ(taken.back(), 1);
}

TEST(ThreadChoice, LooksAtTheOtherWayMoreAndMoreSeldom) {
  ThreadChoice choice(4);
  const auto taken =
      threads_of(choice, 20000, 100, [](int threads) { return threads == 1 ? 3.0 : 1.0; });
  const auto late = std::count(taken.begin() + 10000, taken.end(), 1);
  EXPECT_GT(late, 0);
  EXPECT_LE(late, 12);
}

TEST(ThreadChoice, WithoutThreadsToChooseFromThereIsNoChoice) {
  ThreadChoice none(0);
  EXPECT_EQ(none.threads(5), 0);
  none.add(5, 1.0);
  ThreadChoice one(1);
  EXPECT_EQ(one.threads(5), 1);
}

}  // namespace
}  // namespace loopbank
