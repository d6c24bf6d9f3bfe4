#pragma once
/// Which systems of a study have parts that do nothing: loops, banks, gates and routers whose alarms
/// (train/alarm_rules.h) were up when training ended. A comparison says nothing of loops or memory
/// where these were dead.

#include <cstdint>
#include <string>
#include <vector>

#include "loopbank/study/results.h"

namespace loopbank {

/// One failure of a system, with all seeds that have it in the same layers.
struct DeadPart {
  std::string system;                ///< its label
  std::string kind;                  ///< of the alarm
  std::string what;                  ///< in a few words
  std::vector<int64_t> layers = {};  ///< from 0; empty: of the whole model
  int64_t of_layers = 0;             ///< of the model
  std::vector<int64_t> seeds = {};   ///< in which
  int64_t of_seeds = 0;              ///< that are done

  /// "layers 1, 2 of 4", from 1, or "the whole model"
  [[nodiscard]] std::string where() const;
};

/// In the order of the systems.
[[nodiscard]] std::vector<DeadPart> dead_parts_of(const PartResult& part);

/// "loops behind the first do not change the loss (whole model, 2 of 3 seeds); ...": for a claim that
/// rests on the system. Empty where nothing of it is dead, or there is no such system.
/// @param system  its name
[[nodiscard]] std::string dead_parts(const PartResult& part, const std::string& system);

/// Runs of systems with loops, and those of them whose alarms could have come (was_watched).
struct WatchedRuns {
  int64_t watched = 0;
  int64_t all = 0;
};
[[nodiscard]] WatchedRuns watched_runs(const PartResult& part);

/// "2 of 6 runs not watched: ..."; empty where all were.
[[nodiscard]] std::string unwatched_runs(const PartResult& part);

/// What there is to say where no alarm is up: "none found in 6 of 6 runs." and how many were not
/// watched; nothing where no system has such a part.
[[nodiscard]] std::string no_dead_parts(const PartResult& part);

/// "Dead parts: none found ..." or a line a failure, for a terminal; empty where no system has loops.
[[nodiscard]] std::string format_dead_parts(const PartResult& part);

}  // namespace loopbank
