#pragma once
/// How long the runs of a study that are left will take, from those that are done.
///
///     a run   mean seconds of its system's runs that are done; of none: its FLOPs at the seconds a
///             FLOP of all that are done; of none: of those in work
///     left    until the last worker ends, each of which takes the next run when it is done with its
///             own

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace loopbank {

/// One run, and what is known of its time.
struct RunTime {
  enum class State { kWaiting, kInWork, kDone, kLeftOut };

  std::string system;  ///< and its part: runs of one system take alike
  double flops = 0.0;  ///< of its training
  State state = State::kWaiting;
  double seconds = 0.0;     ///< that it has taken in this call, or all of it where it is done
  double share = 0.0;       ///< of its steps that are done
  double share_here = 0.0;  ///< of its steps that were done in `seconds`
};

/// Nothing where no run tells anything yet, and where none is left.
/// @param runs  in the order in which they are taken
[[nodiscard]] std::optional<double> seconds_left(const std::vector<RunTime>& runs, int64_t at_once);

}  // namespace loopbank
