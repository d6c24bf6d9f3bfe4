#include "loopbank/support/suggest.h"

#include <gtest/gtest.h>

namespace loopbank {
namespace {

TEST(EditDistance, CountsInsertionsDeletionsSubstitutionsAndSwaps) {
  EXPECT_EQ(edit_distance("", ""), 0);
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("loops", "loops"), 0);
  EXPECT_EQ(edit_distance("loop", "loops"), 1);
  EXPECT_EQ(edit_distance("lopps", "loops"), 1);
  EXPECT_EQ(edit_distance("lopos", "loops"), 1);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("abc", "xyz"), 3);
}

TEST(EditDistance, IsTheSameBothWays) {
  EXPECT_EQ(edit_distance("hidden_size", "hiden_sise"), edit_distance("hiden_sise", "hidden_size"));
}

TEST(Suggestion, NamesTheNearestKnownName) {
  const std::vector<std::string> known{"min_loops", "max_loops", "hidden_size"};
  EXPECT_EQ(suggestion("max_loop", known), " Did you mean \"max_loops\"?");
  EXPECT_EQ(suggestion("hidensize", known), " Did you mean \"hidden_size\"?");
}

TEST(Suggestion, ListsAllNamesWhereNoneIsNear) {
  EXPECT_EQ(suggestion("temperature", {"steps", "seed"}), " Known: steps, seed.");
}

TEST(Suggestion, AShortNameIsNotTakenForAnyOtherShortName) {
  EXPECT_EQ(suggestion("t", {"lr", "wd"}), " Known: lr, wd.");
  EXPECT_EQ(suggestion("sede", {"steps", "seed"}), " Did you mean \"seed\"?");
}

TEST(Suggestion, IsEmptyWhereNothingIsKnown) {
  EXPECT_EQ(suggestion("x", {}), "");
}

}  // namespace
}  // namespace loopbank
