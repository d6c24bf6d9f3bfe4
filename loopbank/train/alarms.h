#pragma once
/// Alarms of a training run: parts of the model that do nothing, told while it trains.
///
/// Each row of metrics.jsonl goes by the rules (train/alarm_rules.h). A layer, or the model as one,
/// that a rule finds dead in so many rows in a row is reported: in a row of its own whenever the
/// layers that are reported change, and in a line for people when the first come, when all have come
/// and when the last is well again. Early in a run parts die and come back within tens of steps, and
/// the warm-ups of learning rate and ponder weight do not count.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "loopbank/train/alarm_rules.h"

namespace loopbank {

/// What changed: the layers that a rule reports now.
struct Alert {
  std::string kind = {};             ///< of the rule
  int64_t step = 0;                  ///< of the row
  int64_t since = 0;                 ///< since when all of `layers` have been dead
  std::vector<int64_t> layers = {};  ///< from 0; none where it is over or of the whole model
  bool all_layers = false;           ///< no layer that is watched is well
  bool is_over = false;              ///< all are well again
  double value = 0.0;                ///< of the rule's figure, mean over `layers`
  std::string figure = {};
  std::string message = {};  ///< one line for people; empty where only the row says it
};

/// One rule over the rows of a run.
class Alarm {
 public:
  /// @param first_step  rows before it do not count
  /// @param num_layers  of the model, for messages
  Alarm(AlarmRule rule, int64_t first_step, int64_t num_layers);

  [[nodiscard]] const std::string& kind() const { return rule_.kind; }
  /// Whether enough rows count for it to have come.
  [[nodiscard]] bool has_watched() const { return counted_ >= rule_.patience; }

  /// Observes a row, and appends what it changes. Rows without the figure, or with one that is not
  /// finite, neither count nor break.
  void observe(int64_t step, const nlohmann::json& row, std::vector<Alert>& alerts);

  /// Observes a row whose alerts stand in rows of their own.
  void replay(int64_t step, const nlohmann::json& row);
  /// Takes in such a row.
  /// @param layers  that it lists
  void replay_alert(const std::vector<int64_t>& layers, bool all_layers);

 private:
  /// @return the values of the watched layers; empty where the row does not count
  std::vector<double> follow(int64_t step, const nlohmann::json& row);
  /// Positions in the rule's layers that have been dead for long enough, ascending.
  [[nodiscard]] std::vector<size_t> settled() const;
  [[nodiscard]] Alert alert(int64_t step, const std::vector<size_t>& found,
                            const std::vector<double>& values) const;
  [[nodiscard]] std::string message(const Alert& alert, const nlohmann::json& row) const;

  struct Place {
    int64_t since = 0;  // step; 0: not dead
    int64_t rows = 0;   // in a row, that count
  };
  AlarmRule rule_;
  int64_t first_step_;
  int64_t num_layers_;
  std::vector<Place> places_;  // one a watched layer
  int64_t counted_ = 0;        // rows with the figure, behind the warm-ups
  std::vector<size_t> told_;
};

/// "layers 1, 2 of 4": as people count them, from 1.
/// @param layers  from 0
[[nodiscard]] std::string spoken_layers(const std::vector<int64_t>& layers, int64_t num_layers);

/// All alarms of a run.
class Alarms {
 public:
  explicit Alarms(const RunConfig& config);

  /// Observes a row of metrics.jsonl.
  [[nodiscard]] std::vector<Alert> observe(const nlohmann::ordered_json& row);

  /// Takes in the rows of a run's metrics.jsonl, so that a run that goes on tells what it would have
  /// told without the break, and nothing twice. Nothing where the file is not there.
  /// @throws Error kCheckpoint when it cannot be read, with file:line for a line that is no row
  void replay(const std::filesystem::path& metrics);

  /// Whether every alarm that is on could have come by now: false where none is, or where the rows
  /// that count are fewer than the patience of one, or do not hold what it measures.
  [[nodiscard]] bool have_watched() const;

 private:
  std::vector<Alarm> alarms_;
};

/// A row of metrics.jsonl: {"step", "alarm", "since", "layers", "all_layers", FIGURE}, or where it is
/// over {"step", "alarm", "layers": [], "all_layers": false, "over": true}.
[[nodiscard]] nlohmann::ordered_json to_json(const Alert& alert);

}  // namespace loopbank
