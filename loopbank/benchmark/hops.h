#pragma once
/// p-hop induction (Sanford et al. 2024, arXiv 2402.09268; Saunshi et al. 2025, arXiv 2502.17416).
///
///     find(i) = the last j < i with X[j] = X[i], plus 1        one hop: behind the last equal symbol
///     answer  = X[find(find(... find(T)))]                     p of them from the end of the string
///
/// The string is stated without its end, so that it takes several questions: `3c= a` asks for 3 hops
/// of the string with c at its end. Neighbours in a string differ: where they are equal, find(i) = i,
/// and further hops would be none.

#include <cstdint>
#include <vector>

#include "loopbank/benchmark/example.h"
#include "loopbank/support/random.h"

namespace loopbank {

struct HopOptions {
  int64_t symbols = 4;  ///< 2 to 26: the letters from a on
  int64_t length = 32;  ///< of the string, without its end
};

/// A string and different questions about it, at most one for each number of hops that is given (each at
/// least 1): fewer where the string has no end left that has so many hops, but never none.
/// @throws Error kConfig where no string of many has the hops of the first question
[[nodiscard]] std::vector<Example> draw_hops(const std::vector<int64_t>& hops,
                                             const HopOptions& options, RandomStream& random);

}  // namespace loopbank
