#pragma once
/// The parts of a model that can die in training, and how each is told from its metrics: one rule a
/// failure. docs/alarms.md has the runs behind the thresholds.
///
///     loops_at_one, loops_at_most            layers whose router stops all tokens, or none
///     loops_do_nothing                       the loss with one loop is that with all
///     loops_change_nothing                   layers whose loops behind the first leave the state
///     memory_does_nothing                    the loss without banks is that with them
///     local_, global_memory_read_uniformly   layers that read the mean of a bank's values
///     local_, global_gates_at_zero, _at_one  layers whose gate is shut, or open, for all tokens
///     router_without_gradient                layers whose router cannot learn
///
/// A rule reads rows of metrics.jsonl and nothing else: a run that goes on replays its file.

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/train/run_config.h"

namespace loopbank {

/// Share of the loops beyond the first, (n - 1) / (N - 1), that counts as none of them or, this
/// much below 1, as all of them.
constexpr double kHaltingTolerance = 0.02;
/// Nats per token by which the losses of all loop budgets differ from that of one loop.
constexpr double kLoopsTolerance = 0.0005;
/// Mean of |h^(t) - h^(t-1)| / |h^(t-1)| of every loop behind the first.
constexpr double kLoopChangeTolerance = 0.003;
/// A loop scale below this is named as the cause.
constexpr double kDeadScale = 0.001;
/// Nats per token by which the loss without banks differs.
constexpr double kMemoryTolerance = 0.0002;
/// Nats by which the entropy of reads is below that of equal weights.
constexpr double kFocusTolerance = 0.01;
/// A gate's mean that counts as 0 or, this much below 1, as 1.
constexpr double kGateTolerance = 0.01;
/// Root mean square of a router's gradient.
constexpr double kRouterGradientTolerance = 1e-7;

struct AlarmRule {
  std::string kind = {};             ///< of metrics.jsonl and TensorBoard
  int64_t patience = 0;              ///< rows with the figure, in a row, before the alarm; 0: never
  std::string figure = {};           ///< what is measured, as a key: "mean_loops"
  std::vector<int64_t> layers = {};  ///< that are watched, from 0; [0] where all are one
  bool is_whole_model = false;       ///< one value for all layers
  /// The value of each watched layer; empty where the row does not hold it, NaN where it is null.
  std::function<std::vector<double>(const nlohmann::json& row)> read = {};
  std::function<bool(size_t place, double value)> is_dead = {};
  /// What it means and which settings change it, with their values.
  std::string meaning = {};
  /// What else a row says of the cause; may be empty.
  std::function<std::string(const nlohmann::json& row)> cause = {};
};

/// The rules for the parts that the model has; none for a dense one.
[[nodiscard]] std::vector<AlarmRule> alarm_rules(const RunConfig& config);

/// A kind in a few words, for a table: "loops behind the first do nothing"; the kind itself where it
/// is none of the above.
[[nodiscard]] std::string alarm_words(std::string_view kind);

}  // namespace loopbank
