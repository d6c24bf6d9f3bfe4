#pragma once
/// The keys of a comparison in JSON (support/json_members.h): its differences; scores and verdict are
/// of those who write them.

#include "loopbank/study/verdict.h"
#include "loopbank/support/json_members.h"

namespace loopbank {

void members(auto& by, Either<Difference> auto& difference) {
  by("difference", difference.difference);
  by("low", difference.low);
  by("high", difference.high);
  by("p", difference.p);
}

void members(auto& by, Either<SystemComparison> auto& comparison) {
  members(by, comparison.questions);
  by.object("seeds", comparison.seeds);
}

}  // namespace loopbank
