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
  std::vector<int64_t> seeds = {};   ///< in which
  int64_t of_seeds = 0;              ///< that are done

  /// "layers 0, 1 of 4" or "the whole model"
  [[nodiscard]] std::string where() const;
};

/// In the order of the systems.
[[nodiscard]] std::vector<DeadPart> dead_parts_of(const PartResult& part);

/// "loops behind the first do not change the loss (whole model, 2 of 3 seeds); ...": for a claim that
/// rests on the system. Empty where nothing of it is dead, or there is no such system.
/// @param system  its name
[[nodiscard]] std::string dead_parts(const PartResult& part, const std::string& system);

/// What there is to say where nothing is dead: "none: ..."; nothing where no system has such a part.
[[nodiscard]] std::string no_dead_parts(const PartResult& part);

/// "Dead parts: none: ..." or a line a failure, for a terminal; empty where no system has loops.
[[nodiscard]] std::string format_dead_parts(const PartResult& part);

}  // namespace loopbank
