#include "loopbank/train/bucket_layout.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

namespace loopbank {
namespace {

constexpr int64_t kRange = 1 << 16;

std::vector<BucketMember> some_members() {
  return {{3, 5000, 0}, {2, 70000, 0}, {1, 16, 0}, {0, 257 * 48, 48}};
}

TEST(BucketLayout, EveryValueIsOwnedOnceWhateverTheNumberOfRanks) {
  const std::vector<int64_t> sizes = {257 * 48, 16, 70000, 5000};
  for (const int64_t ranks : {1, 2, 3, 4, 7}) {
    std::vector<std::vector<int>> owners(sizes.size());
    for (size_t i = 0; i < sizes.size(); ++i) {
      owners[i].resize(static_cast<size_t>(sizes[i]));
    }
    for (const auto& bucket : lay_out_buckets(some_members(), ranks)) {
      EXPECT_EQ(bucket.slice % bucket.block, 0);
      for (int64_t rank = 0; rank < ranks; ++rank) {
        int64_t end = 0;
        for (const auto& part : bucket.parts_of(rank, kRange)) {
          EXPECT_GE(part.offset, end);
          end = part.offset + part.count;
          EXPECT_LE(end, bucket.slice);
          for (int64_t i = 0; i < part.count; ++i) {
            ++owners[part.parameter][static_cast<size_t>(part.begin + i)];
          }
        }
      }
    }
    for (const auto& of_parameter : owners) {
      EXPECT_EQ(of_parameter, std::vector<int>(of_parameter.size(), 1)) << ranks << " ranks";
    }
  }
}

TEST(BucketLayout, GradientsInRowsHaveABucketOfTheirOwn) {
  for (const auto& bucket : lay_out_buckets({{0, 4096, 0}, {1, 8192, 4096}, {2, 16, 0}}, 1)) {
    EXPECT_EQ(bucket.members.size(), 1U);
    EXPECT_EQ(bucket.in_rows, bucket.members[0].parameter == 1);
  }
}

TEST(BucketLayout, ASmallModelHasSeveralBucketsAndALargeOneOf25Megabytes) {
  const std::vector<BucketMember> small(16, {0, 4096, 0});
  EXPECT_EQ(lay_out_buckets(small, 1).size(), 8U);
  EXPECT_EQ(lay_out_buckets(small, 2).size(), 8U);
  const std::vector<BucketMember> large(100, {0, 3'000'000, 0});
  for (const auto& bucket : lay_out_buckets(large, 2)) {
    EXPECT_EQ(bucket.members.size(), 2U);
  }
}

TEST(BucketLayout, BlocksComeInTheOrderOfOneProcess) {
  const auto buckets = lay_out_buckets(some_members(), 3);
  const auto places = block_places(buckets, 4, kRange);
  ASSERT_EQ(places.size(), 257U + 1U + 18U + 2U);
  // Each row is a part of its own; 70,000 values are two, of 16 blocks and of 2.
  std::vector<size_t> starts;
  for (size_t i = 0; i < places.size(); ++i) {
    if (places[i].starts_part) {
      starts.push_back(i);
    }
  }
  std::vector<size_t> expected(257);
  std::iota(expected.begin(), expected.end(), size_t{0});
  for (const size_t at : {257, 258, 274, 276}) {
    expected.push_back(at);
  }
  EXPECT_EQ(starts, expected);
}

TEST(BucketLayout, TheNormAddsBlocksWithinAPartFirst) {
  // 1e16 swallows each 1, but not the sum of eight.
  std::vector<BlockPlace> places = {{0, 0, true}, {1, 0, true}};
  std::vector<std::vector<double>> sums = {{1e16}, {1.0}};
  for (int64_t i = 1; i < 8; ++i) {
    places.push_back({1, i, false});
    sums[1].push_back(1.0);
  }
  EXPECT_EQ(norm_of_blocks(places, sums), std::sqrt(1e16 + 8.0));
  EXPECT_NE(norm_of_blocks(places, sums), std::sqrt(1e16));
  EXPECT_EQ(norm_of_blocks({{0, 0, true}, {0, 1, true}}, {{9.0, 16.0}}), 5.0);
}

}  // namespace
}  // namespace loopbank
