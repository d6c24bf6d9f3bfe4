#pragma once
/// Addition of two numbers of k digits, the task on which lengths beyond training are asked most often
/// (Nogueira et al. 2021, arXiv 2102.13019; least digit first: Lee et al. 2023, arXiv 2307.03381).
///
///     47+85= 132          74+58= 231      reversed: all three numbers least digit first

#include <cstdint>

#include "loopbank/benchmark/example.h"
#include "loopbank/support/random.h"

namespace loopbank {

/// Only the whole answer counts as right.
/// @param k         digits of both numbers, at least 1
/// @param reversed  least digit first
[[nodiscard]] Example draw_addition(int64_t k, bool reversed, RandomStream& random);

}  // namespace loopbank
