#pragma once
/// A study: the ten systems trained on the same data in the same order, scored on the same
/// questions, and set beside the paper's table.
///
///     DIR/data/               the embedded benchmark, its tokenizer and tokens (study_data.h)
///     DIR/systems/NAME/       a run directory (train/trainer.h), scores/ and result.json, the
///                             last of these written when the system is done
///     DIR/results.json        every system that is done, written anew after each
///     DIR/report.html         the same for people
///
/// A study that was killed goes on when it is called again with the same options: systems that are
/// done are taken as they are, the one that was cut off resumes from its newest checkpoint.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/study/results.h"
#include "loopbank/study/study_data.h"
#include "loopbank/study/systems.h"

namespace loopbank {

/// A system that a study is done with.
struct SystemDone {
  SystemResult result;
  int64_t number = 0;  ///< how many are done, this one included, of the systems of this call
  int64_t total = 0;   ///< systems of this call
  bool was_done = false;
};

struct StudyOptions {
  Scale scale = Scale::kDemo;
  std::filesystem::path out;
  std::vector<std::string> systems;  ///< names; empty: all ten
  uint64_t seed = 1;                 ///< of the world, the initial values and the order of the data
  std::vector<std::string> overrides;         ///< `section.key=value`, on what all systems share
  std::optional<BenchmarkOptions> benchmark;  ///< instead of the scale's own
  std::string command;                        ///< shown in results.json and report.html
  /// Systems in work at the same time, each on its share of the threads; 0: one a thread at demo
  /// scale, whose products are too small to share, else one. Results depend on the threads of a
  /// system by rounding.
  int64_t at_once = 0;
  bool show_progress = true;  ///< of each training run, where one is in work at a time
  /// Asked after every step and between systems, by several threads where several are in work.
  std::function<bool()> should_stop;
  std::function<void(const SystemDone&)> on_system;
};

/// The systems that a study of these options trains, with everything but their data files.
/// @throws Error kConfig for a wrong setting, an unknown system, or a setting of [data], which the
///         study makes itself
[[nodiscard]] std::vector<System> systems_of_study(const StudyOptions& options);

struct StudyOutcome {
  StudyResult result;  ///< every system of the folder that is done
  bool finished = false;
};

/// Runs the systems that are not done yet, or those before `should_stop` says true.
/// @throws Error kConfig where the folder holds a study of other options, and for the scale of the
///         paper, which this machine can only plan (study/dry_run.h); else as make_benchmark,
///         train and evaluate
StudyOutcome run_study(const StudyOptions& options);

}  // namespace loopbank
