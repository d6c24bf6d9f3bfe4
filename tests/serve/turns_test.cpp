#include "loopbank/serve/turns.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace loopbank {
namespace {

constexpr TurnLimits kRoomy{
    .texts = 1000, .client_texts = 1000, .bytes = 1000, .client_bytes = 1000};

/// The works of what starts until nothing more does.
std::vector<int64_t> works_of_all(Turns& turns) {
  std::vector<int64_t> works;
  while (const auto entry = turns.next()) {
    works.push_back(entry->work);
  }
  return works;
}

TEST(Turns, GoRoundAmongClientsAndAreFirstComeFirstServedWithinOne) {
  Turns turns(kRoomy);
  for (size_t p = 0; p < 3; ++p) {
    turns.add("a", {.work = 1, .prompt = p});
  }
  turns.add("a", {.work = 2});
  turns.add("b", {.work = 3});
  turns.add("c", {.work = 4});
  turns.add("c", {.work = 5});
  EXPECT_EQ(works_of_all(turns), (std::vector<int64_t>{1, 3, 4, 1, 5, 1, 2}));
}

TEST(Turns, OneClientLeavesRoomForOthers) {
  Turns turns({.texts = 5, .client_texts = 4, .bytes = 100, .client_bytes = 80});
  for (int64_t work = 1; work <= 6; ++work) {
    turns.add("a", {.work = work, .bytes = 10});
  }
  EXPECT_EQ(works_of_all(turns), (std::vector<int64_t>{1, 2, 3, 4}));
  turns.add("b", {.work = 7, .bytes = 10});
  EXPECT_EQ(works_of_all(turns), (std::vector<int64_t>{7}));
  turns.give_back("a", 1, 10);
  EXPECT_EQ(works_of_all(turns), (std::vector<int64_t>{5}));
}

TEST(Turns, WhatIsLargerThanAShareStartsAlone) {
  Turns turns({.texts = 5, .client_texts = 4, .bytes = 100, .client_bytes = 80});
  turns.add("a", {.work = 1, .texts = 9, .bytes = 100});
  turns.add("a", {.work = 2, .bytes = 1});
  EXPECT_EQ(works_of_all(turns), (std::vector<int64_t>{1}));
  turns.give_back("a", 9, 100);
  EXPECT_EQ(works_of_all(turns), (std::vector<int64_t>{2}));
}

TEST(Turns, ALargeRequestWaitsForABoundedNumberOfSmallOnes) {
  Turns turns({.texts = 1000, .client_texts = 1000, .bytes = 100, .client_bytes = 100});
  turns.add("small", {.work = 1, .bytes = 10});
  ASSERT_TRUE(turns.next());
  turns.add("large", {.work = 2, .bytes = 100});
  int64_t passed = 0;
  for (int64_t work = 3; work < 200; ++work) {
    turns.add("small", {.work = work, .bytes = 10});
  }
  // As one small request ends another may start: without a bound the large one would never.
  for (int64_t round = 0; round < 100; ++round) {
    const auto entry = turns.next();
    if (!entry) {
      break;
    }
    ASSERT_NE(entry->work, 2);
    ++passed;
    turns.give_back("small", 1, 10);
  }
  EXPECT_EQ(passed, Turns::kMostOvertakes);
  turns.give_back("small", 1, 10);
  const auto large = turns.next();
  ASSERT_TRUE(large);
  EXPECT_EQ(large->work, 2);
  EXPECT_FALSE(turns.next());
  turns.give_back("large", 1, 100);
  EXPECT_EQ(works_of_all(turns).size(), 10U);
}

TEST(Turns, DroppedWorkHoldsNobodyUpAndLeavesNothingBehind) {
  Turns turns({.texts = 1000, .client_texts = 1000, .bytes = 100, .client_bytes = 100});
  turns.add("a", {.work = 1, .bytes = 60});
  ASSERT_TRUE(turns.next());
  turns.add("b", {.work = 2, .bytes = 100});
  EXPECT_FALSE(turns.next());
  for (int64_t work = 3; work < 40; ++work) {
    turns.add("c", {.work = work, .bytes = 1});
  }
  turns.drop("b", 2);
  EXPECT_EQ(turns.num_clients(), 2U);
  EXPECT_EQ(works_of_all(turns).size(), 37U);
  turns.give_back("c", 37, 37);
  turns.give_back("a", 1, 60);
  turns.drop("nobody", 9);
  EXPECT_EQ(turns.num_clients(), 0U);
}

}  // namespace
}  // namespace loopbank
