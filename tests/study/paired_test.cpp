#include "loopbank/study/paired.h"

#include <gtest/gtest.h>

#include "../support/test_directory.h"
#include "stored_scores.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;
using testing::write_scores;

Column facts_column(bool is_bpb) {
  Column column;
  column.key = "facts";
  column.is_bpb = is_bpb;
  column.tasks = {"facts"};
  return column;
}

TEST(DifferenceOverSeeds, IsStudentsPairedT) {
  // Differences 1, 2, 3: mean 2, standard error 1 / sqrt 3; t with 2 degrees of freedom has
  // its 97.5 % quantile at 4.302653 and leaves 0.0741799 outside of +-3.4641016 (tables of the
  // distribution).
  const auto found = difference_over_seeds({1.0, 2.0, 3.0});
  ASSERT_TRUE(found);
  EXPECT_DOUBLE_EQ(found->difference, 2.0);
  EXPECT_NEAR(found->low, 2.0 - 4.302653 / std::sqrt(3.0), 1e-5);
  EXPECT_NEAR(found->high, 2.0 + 4.302653 / std::sqrt(3.0), 1e-5);
  EXPECT_NEAR(found->p, 0.0741799, 1e-6);
  EXPECT_FALSE(found->excludes_zero());
  EXPECT_TRUE(difference_over_seeds({2.9, 3.0, 3.1})->excludes_zero());
}

TEST(DifferenceOverSeeds, OneSeedTellsNothingAndEqualOnesLeaveNoDoubt) {
  EXPECT_FALSE(difference_over_seeds({1.0}));
  EXPECT_FALSE(difference_over_seeds({}));
  EXPECT_EQ(difference_over_seeds({0.0, 0.0})->p, 1.0);
  EXPECT_EQ(difference_over_seeds({0.5, 0.5})->p, 0.0);
}

TEST(CompareRuns, ScoresOfTheSameDocumentsArePairedWhateverTheirOrder) {
  const TestDirectory directory;
  // b is better by 0.1 on every document, of which each is as different from the others as can be.
  write_scores(directory.path() / "a", {{"x", 1.0, 0.5}, {"y", 0.0, 5.0}, {"z", 1.0, 9.0}});
  write_scores(directory.path() / "b", {{"z", 1.0, 8.9}, {"x", 1.0, 0.4}, {"y", 1.0, 4.9}});
  ScoreFolders folders;
  const auto bpb =
      compare_runs({directory.path() / "a"}, {directory.path() / "b"}, facts_column(true), folders);
  EXPECT_NEAR(bpb.questions.difference, -0.1, 1e-9);
  EXPECT_NEAR(bpb.questions.low, -0.1, 1e-9);
  EXPECT_NEAR(bpb.questions.high, -0.1, 1e-9);
  EXPECT_NEAR(bpb.mean_a, 14.5 / 3, 1e-9);
  EXPECT_FALSE(bpb.seeds);
  EXPECT_EQ(&bpb.decisive(), &bpb.questions);
  const auto accuracy = compare_runs({directory.path() / "a"}, {directory.path() / "b"},
                                     facts_column(false), folders);
  EXPECT_NEAR(accuracy.questions.difference, 1.0 / 3, 1e-9);
}

TEST(CompareRuns, SeedsThatDisagreeAreTooNearToTell) {
  const TestDirectory directory;
  // Each seed is sure of itself, and they say opposite things.
  write_scores(directory.path() / "a1", {{"x", 0, 1.0}, {"y", 0, 1.0}});
  write_scores(directory.path() / "b1", {{"x", 0, 0.5}, {"y", 0, 0.5}});
  write_scores(directory.path() / "a2", {{"x", 0, 1.0}, {"y", 0, 1.0}});
  write_scores(directory.path() / "b2", {{"x", 0, 1.3}, {"y", 0, 1.3}});
  ScoreFolders folders;
  const auto compared =
      compare_runs({directory.path() / "a1", directory.path() / "a2"},
                   {directory.path() / "b1", directory.path() / "b2"}, facts_column(true), folders);
  EXPECT_NEAR(compared.questions.difference, -0.1, 1e-9);
  EXPECT_TRUE(compared.questions.excludes_zero());
  ASSERT_TRUE(compared.seeds);
  EXPECT_FALSE(compared.seeds->excludes_zero());
  EXPECT_FALSE(compared.decisive().excludes_zero());
}

TEST(CompareRuns, WhatIsMissingIsNamed) {
  const TestDirectory directory;
  write_scores(directory.path() / "a", {{"x", 1.0, 0.5}, {"y", 0.0, 5.0}});
  write_scores(directory.path() / "b", {{"x", 1.0, 0.5}});
  ScoreFolders folders;
  expect_contains(error_of(ErrorCode::kData,
                           [&] {
                             (void)compare_runs({directory.path() / "a"}, {directory.path() / "b"},
                                                facts_column(true), folders);
                           }),
                  "expected the document y");
  auto other = facts_column(true);
  other.tasks = {"sums"};
  expect_contains(error_of(ErrorCode::kData,
                           [&] {
                             (void)compare_runs({directory.path() / "a"}, {directory.path() / "b"},
                                                other, folders);
                           }),
                  "expected scores of sums");
}

}  // namespace
}  // namespace loopbank
