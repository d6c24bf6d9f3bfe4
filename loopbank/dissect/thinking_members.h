#pragma once
/// The keys of loops against steps in JSON (support/json_members.h).

#include "loopbank/dissect/thinking.h"
#include "loopbank/support/json_members.h"

namespace loopbank {

void members(auto& by, Either<RankCorrelation> auto& correlation) {
  by("rho", correlation.rho);
  by("low", correlation.low);
  by("high", correlation.high);
  by("has_interval", correlation.has_interval);
}

void members(auto& by, Either<LoopsAtSteps> auto& cell) {
  by("steps", cell.steps);
  by("tokens", cell.tokens);
  by("loops", cell.loops);
  by("loops_by_layer", cell.loops_by_layer);
}

void members(auto& by, Either<LoopsAgainstSteps> auto& thinking) {
  by("task", thinking.task);
  by("seeds", thinking.seeds);
  by("questions", thinking.questions);
  by("tokens", thinking.tokens);
  by.list("by_steps", thinking.by_steps);
  by.object("correlation", thinking.correlation);
  by.object("given_place", thinking.given_place);
  by.object("given_loss", thinking.given_loss);
  by.list("by_layer", thinking.by_layer);
}

}  // namespace loopbank
