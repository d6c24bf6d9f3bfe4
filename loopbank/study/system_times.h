#pragma once
/// What each system of a study takes on this machine, measured in a few seconds before its first
/// step: training steps at the run's own sizes, one validation on some rows, a look within, the
/// scoring of some questions and exits on a row, as many systems side by side as the study trains.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "loopbank/eval/task.h"
#include "loopbank/study/time_plan.h"
#include "loopbank/train/run_config.h"

namespace loopbank {

/// A system to be timed.
struct TimedSystem {
  std::string name;
  std::string label;
  RunConfig run;                      ///< its steps and how often it validates count
  const std::vector<Task>* tasks{};   ///< that it is scored on
  bool exits = false;                 ///< whether run_exits.h measures it
  int64_t score_points = 0;           ///< at which it is scored (score_points.h)
  int64_t score_point_instances = 0;  ///< most questions of a task there
};

struct TimingOptions {
  int64_t at_once = 1;
  int threads = 1;  ///< of a run
  /// Asked between steps: a stopped measurement is empty.
  std::function<bool()> should_stop = {};
};

/// One row a system, in their order, each with one run to be done.
/// @throws Error as open_run_data and evaluate
[[nodiscard]] std::vector<SystemTime> measure_system_times(const std::vector<TimedSystem>& systems,
                                                           const TimingOptions& options);

}  // namespace loopbank
