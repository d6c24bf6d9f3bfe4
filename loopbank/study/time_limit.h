#pragma once
/// A study kept to a time: what may be kept to one, the steps that were chosen put into its config,
/// and what people are told of the choice. The arithmetic stands in study/time_plan.h.

#include <filesystem>
#include <optional>
#include <string>

#include "loopbank/study/study_config.h"
#include "loopbank/study/time_plan.h"

namespace loopbank {

/// What a study that is kept to a time is about to do.
struct TimeReport {
  enum class Origin {
    kMeasured,  ///< the steps were chosen now
    kStored,    ///< an earlier call chose them
    kUnlimited  ///< an earlier call trained without a limit: its steps stay
  };
  Origin origin = Origin::kMeasured;
  TimePlan plan = {};  ///< its systems with the runs that are to be done
  TimeChoice choice = {};
  TimeBudget budget = {};
  double limit_seconds = 0.0;  ///< of this call
};

/// A few lines for people, without a trailing newline.
[[nodiscard]] std::string describe(const TimeReport& report);

/// Refuses a system that sets its own steps: a time is shared by giving all the same.
/// @throws Error kConfig
void check_time_limit(const StudyConfig& config);

/// Refuses to go on with a study in another way than it was started.
/// @throws Error kConfig where the steps were chosen and this call has no limit, and where they
///         were chosen from another number
void expect_same_plan(const std::filesystem::path& study, const TimePlan& plan,
                      const StudyConfig& config, bool has_limit);

/// Whether a run of any system and seed was begun in the folder of a study.
[[nodiscard]] bool holds_runs(const std::filesystem::path& study);

/// The plan's steps, with as many validations and checkpoints as before.
void take_steps(StudyConfig& config, const TimePlan& plan);

}  // namespace loopbank
