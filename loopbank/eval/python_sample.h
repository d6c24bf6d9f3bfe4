#pragma once
/// Python's `random.sample`, so that a published sample can be drawn again.
///
/// Nothing else draws from it: support/random.h is the source of randomness.

#include <cstdint>
#include <vector>

namespace loopbank {

/// `random.Random(seed).sample(range(population), count)`, in that order. The Mersenne Twister is
/// seeded by its authors' init_by_array with the seed's 32-bit words. Whether it swaps in a list or
/// rejects repeats is decided by Python's own rule (3.2 to 3.13).
/// @param population  0 to 2^32 - 1
/// @param count       0 to population
/// @throws Error kConfig outside these ranges
[[nodiscard]] std::vector<int64_t> python_sample(uint64_t seed, int64_t population, int64_t count);

}  // namespace loopbank
