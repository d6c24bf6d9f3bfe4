#pragma once
/// Watches the mean loops of a training run for layers that stay at 1 loop or at all N of theirs.
///
/// At either end the derivative of the router's sigmoid is close to 0, and so is its gradient.
/// Early in a run, layers get there and come back within tens of steps; those that stay longer are
/// reported.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "loopbank/train/run_config.h"

namespace loopbank {

/// Share of the loops beyond the first, (n - 1) / (N - 1), that counts as none of them or, this
/// much below 1, as all of them. Nearly all runs without a ponder term stay above 0.035
/// (docs/halting.md).
constexpr double kHaltingTolerance = 0.02;

/// Layers that have been at one end for long enough to be reported.
struct HaltingAlert {
  enum class Kind { kLoopsAtOne, kLoopsAtMost };
  Kind kind = Kind::kLoopsAtOne;
  int64_t step = 0;                  ///< at which it is reported
  int64_t since = 0;                 ///< since when all of `layers` have been there
  std::vector<int64_t> layers = {};  ///< from 0
  bool all_layers = false;           ///< every layer that may loop is among them
  double mean_loops = 1.0;           ///< of `layers`, at `step`
};

class HaltingAlarm {
 public:
  /// Alerts come after training.halting_alarm_steps steps in a row (0: never), of which those
  /// within the warm-up of the learning rate or of the ponder weight do not count. Layers of one
  /// loop and dense ones are not watched.
  explicit HaltingAlarm(const RunConfig& config);

  /// Observes a step. An alert comes when the first layers have been at one end for long enough,
  /// and one more when all have: at most two per end, until some layer has left it.
  /// @param loops_by_layer  mean n [L]; a step with a value that is not finite is skipped
  [[nodiscard]] std::vector<HaltingAlert> observe(int64_t step,
                                                  const std::vector<double>& loops_by_layer);

  /// Takes in the steps and alerts of a run's metrics.jsonl, so that a run that goes on tells what
  /// it would have told without the break, and nothing twice. Nothing where the file is not there.
  /// @throws Error kCheckpoint when it cannot be read, with file:line for a line that is no row
  void replay(const std::filesystem::path& metrics);

 private:
  /// How many of the watched layers have been at an end for long enough, in ascending order.
  enum class Extent { kNone, kSome, kAll };
  struct End {
    HaltingAlert::Kind kind = HaltingAlert::Kind::kLoopsAtOne;
    std::vector<int64_t> since = {};  ///< of each watched layer; 0 where it is not at this end
    Extent told = Extent::kNone;
  };
  void follow(End& end, int64_t step, const std::vector<double>& loops_by_layer) const;
  /// Positions in `watched_` of the layers that have been at the end for long enough.
  [[nodiscard]] std::vector<size_t> settled(const End& end, int64_t step) const;
  [[nodiscard]] Extent extent_of(size_t layers) const;
  [[nodiscard]] HaltingAlert alert(const End& end, int64_t step, const std::vector<size_t>& found,
                                   const std::vector<double>& loops_by_layer) const;

  int64_t patience_;                 // steps; 0: off
  int64_t first_step_;               // that counts
  std::vector<int64_t> watched_;     // layers of two loops or more
  std::vector<int64_t> most_loops_;  // N of each watched layer
  std::vector<End> ends_;
};

/// A row of metrics.jsonl: {"step", "alarm": "loops_at_one" | "loops_at_most", "since", "layers",
/// "all_layers", "mean_loops"}.
[[nodiscard]] nlohmann::ordered_json to_json(const HaltingAlert& alert);

/// One line: what was found, what it means, and which settings change it, with their values.
[[nodiscard]] std::string message(const HaltingAlert& alert, const RunConfig& config);

}  // namespace loopbank
