#pragma once
/// p-hop induction (Sanford et al. 2024, arXiv 2402.09268; Saunshi et al. 2025, arXiv 2502.17416).
///
///     find(i) = the last j < i with X[j] = X[i], plus 1        one hop: behind the last equal symbol
///     answer  = X[find(find(... find(T)))]                     p of them from the end of the string

#include <cstdint>

#include "loopbank/benchmark/example.h"
#include "loopbank/support/random.h"

namespace loopbank {

/// A string whose last symbol has p hops before it.
/// @param p        at least 1
/// @param symbols  2 to 26
/// @param length   of the string; enough for p hops
[[nodiscard]] Example draw_hops(int64_t p, int64_t symbols, int64_t length, RandomStream& random);

}  // namespace loopbank
