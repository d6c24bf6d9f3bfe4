#pragma once
/// Problems whose quantities depend on each other, after iGSM (Ye et al. 2024, Physics of Language
/// Models, part 2.1, arXiv 2407.20311), without its English.
///
///     D=A+B;C=A*3;B=A-1;A=2+4;D? 4                             modulo 7
///
/// Assignments in random order, each of one operation on two operands: variables that are assigned
/// elsewhere, or numbers below m. The variable that is asked for takes exactly k of them; the others, C
/// here, are of no use. What is needed is for the solver to find out.

#include <cstdint>

#include "loopbank/benchmark/example.h"
#include "loopbank/support/random.h"

namespace loopbank {

struct GraphOptions {
  int64_t modulus = 7;      ///< 2 to 36: a number is one digit of kDigits
  int64_t distractors = 2;  ///< assignments of no use; with the k needed ones at most 26
};

/// Each answer is equally likely.
/// @param k  assignments that the answer takes, at least 1
[[nodiscard]] Example draw_graph(int64_t k, const GraphOptions& options, RandomStream& random);

}  // namespace loopbank
