#pragma once
/// The keys of a comparison, and of the noise that it is planned by, in JSON (support/json_members.h): its differences; scores and verdict are
/// of those who write them.

#include "loopbank/study/noise.h"
#include "loopbank/study/verdict.h"
#include "loopbank/support/json_members.h"

namespace loopbank {

void members(auto& by, Either<Difference> auto& difference) {
  by("difference", difference.difference);
  by("low", difference.low);
  by("high", difference.high);
  by("p", difference.p);
}

/// Files of earlier programs end with `p`.
void members(auto& by, Either<SeedDifference> auto& seeds) {
  by("difference", seeds.difference);
  by("low", seeds.low);
  by("high", seeds.high);
  by("p", seeds.p);
  by("standard_error", seeds.standard_error);
  by("degrees_of_freedom", seeds.degrees_of_freedom);
  by("deviation", seeds.deviation);
  by("lasting_variance", seeds.lasting_variance);
}

void members(auto& by, Either<SystemComparison> auto& comparison) {
  members(by, comparison.questions);
  by.object("seeds", comparison.seeds);
}

void members(auto& by, Either<SeedNoise> auto& noise) {
  by("source", noise.source);
  by("seeds", noise.seeds);
  by("steps", noise.steps);
  by("deviations", noise.deviations);
}

}  // namespace loopbank
