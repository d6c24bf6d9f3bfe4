#pragma once
/// The clock of a study that is kept to a time: from the plan and from what the runs took until
/// now, whether another run would still end in time.
///
///     slower = seconds of the runs that are done / those expected of them
///     too late: now + slower * expected seconds of the run > limit
///
/// So if other work slows the machine down after the measurement, systems are dropped, the least
/// missed first, and the study still ends in time. Not for several threads at once.

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/study/time_plan.h"
#include "loopbank/support/stopwatch.h"

namespace loopbank {

class Deadline {
 public:
  explicit Deadline(double limit_seconds) : limit_seconds_(limit_seconds) {}

  /// Takes what was chosen; before, there is nothing to be late for.
  /// @param plan  its systems in the order of training
  void start(const TimePlan& plan, const TimeChoice& choice);

  /// Seconds since construction.
  [[nodiscard]] double seconds_gone() const { return watch_.seconds(); }
  /// Place of a system in the order of training.
  [[nodiscard]] size_t rank(const std::string& system) const;
  [[nodiscard]] bool is_too_late_for(const std::string& system) const;

  void count_run(const std::string& system, double seconds);
  void leave_out(const std::string& system);

  /// Nothing before `start`.
  [[nodiscard]] const std::optional<ChosenSteps>& chosen() const { return chosen_; }

 private:
  [[nodiscard]] double expected_seconds(const std::string& system) const;

  Stopwatch watch_;
  double limit_seconds_;
  TimePlan plan_;
  std::optional<ChosenSteps> chosen_;
  double expected_ = 0.0;  // seconds of the runs that are done, as planned
  double taken_ = 0.0;     // and as they were
};

}  // namespace loopbank
