#pragma once
/// How many steps of a study fit into a time, and which systems do where not all of them fit.
///
///     seconds of a run = steps * seconds a step + the rest  (validations, scoring, looking within,
///                                                            exits)
///     steps            = the most, the same for all systems, whose runs end in time
///
/// Equal steps keep the comparison fair, so the steps come down first, to half of the study's own:
/// the demo's systems still guess after a quarter of theirs (docs/log.md). What then does not fit
/// is left out, system after system, from the end of keep_order(); IsoPar and Loop-3 stay whatever
/// they take. What was chosen stands in DIR/time_plan.json, and a study that goes on keeps it.
/// Not here: the measuring (study/system_times.h).

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace loopbank {

/// What one run of a system takes on this machine.
struct SystemTime {
  std::string system;           ///< its name
  std::string label;            ///< as tables show it
  double tokens_a_step = 0.0;   ///< B T
  double seconds_a_step = 0.0;  ///< with the other runs beside it
  double rest_seconds = 0.0;    ///< validations, scoring, looking within, exits, whatever the steps
  int64_t runs = 1;             ///< still to be done, one a seed; 0: none

  /// Of one run.
  [[nodiscard]] double seconds_of(int64_t steps) const {
    return static_cast<double>(steps) * seconds_a_step + rest_seconds;
  }
};

/// This many systems, the first of keep_order(), are always trained.
inline constexpr size_t kAlwaysKept = 2;

/// The names of systems, those to keep longest first: isopar, loop3, mem-g3, isoflop, then those
/// of the paper's ten that most of its findings need, then a study's own in their order.
[[nodiscard]] std::vector<std::string> keep_order(const std::vector<std::string>& systems);

struct TimeBudget {
  double seconds = 0.0;
  int64_t at_once = 1;  ///< runs in work side by side
  int64_t least_steps = 1;
  int64_t most_steps = 1;
};

struct TimeChoice {
  int64_t steps = 0;
  std::vector<std::string> systems;  ///< that are trained
  std::vector<std::string> left_out;
  double seconds = 0.0;           ///< expected until the last of them is done
  double seconds_with_all = 0.0;  ///< all systems with most_steps

  [[nodiscard]] bool fits(const TimeBudget& budget) const { return seconds <= budget.seconds; }
};

/// The fewest steps of a study whose own are `steps`.
[[nodiscard]] int64_t least_steps_of(int64_t steps);

/// Seconds until all runs are done: each worker takes the next one when it is done with its own,
/// seed after seed.
[[nodiscard]] double seconds_together(const std::vector<SystemTime>& systems, int64_t steps,
                                      int64_t at_once);

/// @param systems  in the order of training; the last ones are left out first
[[nodiscard]] TimeChoice choose_steps(const std::vector<SystemTime>& systems,
                                      const TimeBudget& budget);

/// The file time_plan.json: how many steps a study takes, and from what that was concluded.
struct TimePlan {
  double limit_seconds = 0.0;   ///< of the call that chose the steps
  int64_t steps = 0;            ///< of every system
  int64_t steps_of_config = 0;  ///< from which they were chosen
  std::vector<SystemTime> systems = {};

  [[nodiscard]] const SystemTime* find(const std::string& system) const;
};

/// Nothing where the folder of a study holds none.
/// @throws Error kData for a file of another form
[[nodiscard]] std::optional<TimePlan> read_time_plan(const std::filesystem::path& study);
void write_time_plan(const std::filesystem::path& study, const TimePlan& plan);

/// The interval of validations or checkpoints for `steps` steps in place of `of`, so that there are
/// as many of them.
[[nodiscard]] int64_t scaled_interval(int64_t every, int64_t steps, int64_t of);

/// What a table has to say of a study whose steps were chosen for the time.
struct ChosenSteps {
  double limit_seconds = 0.0;
  int64_t steps = 0;
  int64_t steps_of_config = 0;
  std::vector<std::string> left_out = {};  ///< labels

  [[nodiscard]] bool is_cut() const { return steps < steps_of_config || !left_out.empty(); }
};

/// A sentence or two; empty where nothing was cut.
[[nodiscard]] std::string note_on(const ChosenSteps& chosen);

}  // namespace loopbank
