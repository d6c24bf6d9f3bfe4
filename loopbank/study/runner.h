#pragma once
/// A study: systems trained on the same data in the same order, scored on the same questions, and
/// set beside the paper's table.
///
///     DIR/benchmark/, DIR/text/   one part each (study_part.h)
///     DIR/results.json            every run that is done, written anew after each, or less often
///                                 where that would take a noticeable part of the time
///     DIR/report.html, csv/       the same for people
///
/// A study that was killed goes on when it is called again with the same options: runs that are
/// done are taken as they are, one that was cut off resumes from its newest checkpoint. Several
/// processes may work in one folder: each takes the runs that no other has, and all wait for the
/// last. They need not ask for the same seeds and systems: what is written holds every run of the
/// folder that is done.
///
/// Kept to a time, a study measures this machine first and chooses its steps
/// (study/time_plan.h); DIR/time_plan.json keeps them for every later call.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/study/results.h"
#include "loopbank/study/study_config.h"
#include "loopbank/study/time_limit.h"

namespace loopbank {

/// A run that a study is done with.
struct RunDone {
  RunResult result;
  std::string label;  ///< of its system
  std::vector<Column> columns;
  int64_t number = 0;  ///< how many are done, this one included, of the runs of this call
  int64_t total = 0;   ///< runs of this call
  bool was_done = false;
  std::optional<double> seconds_left = {};  ///< of the whole call, where that can be told
};

struct StudyOptions {
  std::string scale;               ///< shown in results.json
  std::vector<StudyConfig> parts;  ///< one or several, each with a part_name of its own
  std::filesystem::path out;
  std::vector<std::string> systems;  ///< names; empty: all of the files
  std::vector<int64_t> seeds;        ///< empty: those of the files
  std::string command;               ///< shown in results.json and report.html
  /// Runs in work at the same time, each on its share of the threads; 0: one a thread where the
  /// models are too small to share a product (under 4 M parameters), else one. Results depend on
  /// the threads of a run by rounding.
  int64_t at_once = 0;
  /// Seconds in which the whole call must end; one part only; 0: no limit.
  double time_limit_seconds = 0.0;
  /// Of several processes that work in one folder: whether this one writes results.json and the
  /// page. It waits for all runs, as each does.
  bool makes_report = true;
  bool show_progress = true;  ///< bars of the runs in work, where stderr is a terminal
  /// Asked after every step and between runs, by several threads where several are in work.
  std::function<bool()> should_stop;
  std::function<void(const RunDone&)> on_run;
  /// Called once the options were found to fit the folder and its data is there, before any run.
  std::function<void()> on_open = {};
  /// Called before the first run of a study that is kept to a time.
  std::function<void(const TimeReport&)> on_time_plan = {};
};

struct StudyOutcome {
  StudyResult result;  ///< every run of the folder that is done
  bool finished = false;
};

/// Runs what is not done yet, or as much before `should_stop` says true.
/// @throws Error kConfig where the folder holds a study of other options, and for a time limit on
///         several parts or on systems of unequal steps; else as make_benchmark, train and evaluate
StudyOutcome run_study(const StudyOptions& options);

}  // namespace loopbank
