#pragma once
/// Mano: modular arithmetic on expressions in prefix form (Zhu et al. 2025, arXiv 2510.25741, after
/// Physics of Language Models, part 4.1).
///
///     expression = number | operator expression expression     + - *, each modulo m
///     -*352= 6                                                 (3 * 5 - 2) mod 7
///
/// An expression of k operators takes k operations, and as many consecutive ones as it is deep.

#include <cstdint>

#include "loopbank/benchmark/example.h"
#include "loopbank/support/random.h"

namespace loopbank {

/// A random expression: the operators below one are parted at random between its two sides. Given its
/// first operator each value is equally likely, so that guessing is right 1 time in m.
/// @param k        operators, at least 1
/// @param modulus  2 to 36: a number is one digit of kDigits
[[nodiscard]] Example draw_mano(int64_t k, int64_t modulus, RandomStream& random);

}  // namespace loopbank
