#pragma once
/// p-hop induction (Sanford et al. 2024, arXiv 2402.09268; Saunshi et al. 2025, arXiv 2502.17416).
///
///     find(i) = the last j < i with X[j] = X[i], plus 1        one hop: behind the last equal symbol
///     hop(i)  = X[find(find(... find(i)))]                     p of them; - where there are fewer
///
/// Asked at every place of the string, so that a document has as many answers as symbols: p in the
/// first line, then X[i] and hop(i) a line. For p = 1:
///
///     1
///     c -
///     a -
///     c A      behind the last c stands a
///     b -
///     a C
///
/// Answers are capitals: what is searched is the string, not they. Neighbours in a string differ:
/// where they are equal, find(i) = i, and further hops would be none.
///
/// Of strings as they come the answer of two hops is the last symbol itself half the time (4 symbols),
/// that of one hop the symbol before it. So strings are drawn until the last place's answer is, given p
/// and the last two symbols, each symbol equally often: for one hop each but the last symbol.

#include <cstdint>
#include <vector>

#include "loopbank/benchmark/example.h"
#include "loopbank/support/random.h"

namespace loopbank {

struct HopOptions {
  int64_t symbols = 4;  ///< 3 to 26: the letters from a on
  int64_t length = 32;  ///< symbols in a string
};

/// A string whose last place has p hops before it, as that place's problem: the statement holds the
/// places before and their answers. Answers are equally often each symbol (above) where strings are long
/// enough to have them; where 500 with p hops had not the wanted one, the next is taken.
/// @param p  at least 1
/// @throws Error kConfig where no string of many has p hops
[[nodiscard]] Example draw_hops(int64_t p, const HopOptions& options, RandomStream& random);

}  // namespace loopbank
