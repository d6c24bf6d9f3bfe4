#pragma once
/// How far a study is: the time that is left, and on a terminal a bar for every run in work and one
/// for the whole.
///
///     Loop-3, seed 2       ######..................  26 %  step 250/960  loss 2.113  8.2 k tokens/s
///     Mem (g0=3), seed 2   ##......................  10 %  step 96/960  loss 2.871  4.0 k tokens/s
///     11 of 80 runs        ###.....................  time left 1 h 12 min
///
/// For several threads at once.

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/study/time_left.h"
#include "loopbank/support/progress_board.h"
#include "loopbank/support/stopwatch.h"
#include "loopbank/train/metrics.h"

namespace loopbank {

/// A run of the study, as it is shown.
struct ShownRun {
  std::string label;  ///< of its system, with the seed
  int64_t steps = 0;
  RunTime time = {};
};

/// A line for a run in work.
/// @param last  what it measured last; step 0: nothing yet
[[nodiscard]] std::string line_of(const ShownRun& run, const StepMetrics& last,
                                  double tokens_per_second);

/// A line for the whole study.
[[nodiscard]] std::string line_of_study(const std::vector<ShownRun>& runs,
                                        std::optional<double> seconds_left);

class StudyProgress {
 public:
  /// @param shows  whether bars are drawn, where stderr is a terminal
  explicit StudyProgress(bool shows);

  /// @param runs  of this call, in the order in which they are taken
  void start(std::vector<ShownRun> runs, int64_t at_once);

  void begin(size_t run);
  /// @param steps  of the whole run
  void step(size_t run, const StepMetrics& step, int64_t steps);
  /// @param seconds  that it took, in this call or an earlier one
  void end(size_t run, double seconds);
  void leave_out(size_t run);
  /// The bars are erased.
  void finish();

  /// Nothing where no run tells anything yet, and where none is left.
  [[nodiscard]] std::optional<double> time_left() const;

 private:
  struct InWork {
    size_t run = 0;
    Stopwatch watch = {};
    int64_t first_step = 0;  ///< of this call
    StepMetrics last = {};
    double seconds_a_token = 0.0;  ///< a running mean
  };
  void draw();
  [[nodiscard]] std::vector<RunTime> times() const;
  [[nodiscard]] InWork* find(size_t run);

  mutable std::mutex mutex_;
  std::optional<ProgressBoard> board_;
  Stopwatch since_drawn_;
  std::vector<ShownRun> runs_;
  std::vector<InWork> in_work_;
  int64_t at_once_ = 1;
};

}  // namespace loopbank
