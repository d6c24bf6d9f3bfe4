#include "loopbank/support/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <vector>

namespace loopbank {
namespace {

constexpr uint64_t kSeed = 20260311;

TEST(MixBits, GivesTheValuesOfSplitMix64) {
  // The first outputs of SplitMix64 from state 0, as its authors' reference code prints them.
  EXPECT_EQ(mix_bits(0), 0xe220a8397b1dcdafULL);
  EXPECT_EQ(mix_bits(0x9e3779b97f4a7c15ULL), 0x6e789e6aa1b965f4ULL);
}

TEST(DeriveSeed, DiffersByNameAndBySeed) {
  std::set<uint64_t> seeds;
  for (const uint64_t seed : {0U, 1U, 2U}) {
    for (const char* name : {"", "data", "weights", "weight"}) {
      seeds.insert(derive_seed(seed, name));
    }
  }
  EXPECT_EQ(seeds.size(), 12U);
}

TEST(RandomStream, ContinuesFromItsSavedPosition) {
  RandomStream stream(kSeed);
  for (int i = 0; i < 100; ++i) {
    static_cast<void>(stream.below(3));
  }
  RandomStream resumed(stream.seed(), stream.position());
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(resumed.bits(), stream.bits());
  }
}

TEST(RandomStream, BelowIsUniform) {
  constexpr int kDraws = 70'000;
  RandomStream stream(kSeed);
  std::array<int, 7> counts{};
  for (int i = 0; i < kDraws; ++i) {
    ++counts.at(stream.below(counts.size()));
  }
  double chi_squared = 0.0;
  for (const int count : counts) {
    chi_squared += std::pow(count - kDraws / 7.0, 2) / (kDraws / 7.0);
  }
  EXPECT_LT(chi_squared, 22.5) << "6 degrees of freedom: 22.5 has a chance of 0.001";
}

TEST(RandomStream, BelowHasNoBiasAtHugeBounds) {
  // Three quarters of 2^64: a plain remainder would give the lowest third half of the draws.
  constexpr uint64_t kBound = (uint64_t{1} << 63U) + (uint64_t{1} << 62U);
  constexpr int kDraws = 30'000;
  RandomStream stream(kSeed);
  int low = 0;
  for (int i = 0; i < kDraws; ++i) {
    low += stream.below(kBound) < kBound / 3 ? 1 : 0;
  }
  EXPECT_NEAR(low, kDraws / 3, 350);
}

TEST(RandomStream, BetweenReachesBothEnds) {
  RandomStream stream(kSeed);
  std::set<int64_t> seen;
  for (int i = 0; i < 200; ++i) {
    seen.insert(stream.between(-2, 2));
  }
  EXPECT_EQ(seen, (std::set<int64_t>{-2, -1, 0, 1, 2}));
  EXPECT_EQ(stream.between(7, 7), 7);
}

TEST(RandomStream, UniformStaysBelowOneWithMeanOneHalf) {
  RandomStream stream(kSeed);
  double sum = 0.0;
  for (int i = 0; i < 100'000; ++i) {
    const double value = stream.uniform();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
  }
  EXPECT_NEAR(sum / 100'000, 0.5, 0.004);
}

TEST(Permutation, HitsEveryElementOnce) {
  for (const uint64_t size : {1U, 2U, 3U, 4U, 5U, 15U, 16U, 17U, 63U, 64U, 65U, 1000U, 4097U}) {
    const Permutation order(size, kSeed);
    std::vector<bool> seen(size);
    for (uint64_t i = 0; i < size; ++i) {
      const auto value = order[i];
      ASSERT_LT(value, size);
      ASSERT_FALSE(seen[value]) << value << " twice in a permutation of " << size;
      seen[value] = true;
    }
  }
}

TEST(Permutation, StaysInsideHugeRanges) {
  constexpr uint64_t kSize = (uint64_t{1} << 40U) + 3;
  const Permutation order(kSize, kSeed);
  std::set<uint64_t> seen;
  for (uint64_t i = 0; i < 1000; ++i) {
    EXPECT_LT(order[i], kSize);
    seen.insert(order[i]);
  }
  EXPECT_EQ(seen.size(), 1000U);
}

TEST(Permutation, OtherSeedsGiveOtherOrders) {
  const Permutation first(1000, 1);
  const Permutation second(1000, 2);
  int equal = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    equal += first[i] == second[i] ? 1 : 0;
  }
  EXPECT_LT(equal, 10) << "one place in a thousand agrees by chance";
}

TEST(Permutation, EachElementIsEquallyLikelyAtEachPlace) {
  constexpr uint64_t kSize = 6;
  constexpr int kSeeds = 6000;
  std::array<std::array<int, kSize>, kSize> counts{};
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Permutation order(kSize, derive_seed(kSeed, std::to_string(seed)));
    for (uint64_t i = 0; i < kSize; ++i) {
      ++counts.at(i).at(order[i]);
    }
  }
  for (const auto& place : counts) {
    for (const int count : place) {
      EXPECT_NEAR(count, kSeeds / static_cast<double>(kSize), 150);  // 5 standard deviations
    }
  }
}

TEST(Permutation, EveryOrderOfAFewElementsOccurs) {
  for (const uint64_t size : {2U, 3U, 4U}) {
    std::map<std::vector<uint64_t>, int> orders;
    constexpr int kSeeds = 4800;
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      const Permutation order(size, derive_seed(kSeed, std::to_string(seed)));
      std::vector<uint64_t> values;
      for (uint64_t i = 0; i < size; ++i) {
        values.push_back(order[i]);
      }
      ++orders[values];
    }
    const double num_orders = std::tgamma(static_cast<double>(size) + 1);
    EXPECT_EQ(static_cast<double>(orders.size()), num_orders);
    for (const auto& [order, count] : orders) {
      EXPECT_GT(count, kSeeds / num_orders / 2) << "an order of " << size << " that is rare";
    }
  }
}

}  // namespace
}  // namespace loopbank
