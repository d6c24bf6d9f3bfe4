#pragma once
/// The keys of a run's scores in JSON (support/json_members.h).

#include "loopbank/study/run_result.h"
#include "loopbank/support/json_members.h"

namespace loopbank {

void members(auto& by, Either<Estimate> auto& score) {
  by("value", score.mean);
  by("standard_error", score.standard_error);
}

void members(auto& by, Either<TaskScore> auto& task) {
  by("task", task.task);
  by.object("accuracy", task.accuracy);
  by.object("bpb", task.bpb);
  by.object("known_bits", task.known_bits);
  by("instances", task.instances);
  by("mean_loops", task.mean_loops);
}

}  // namespace loopbank
