#pragma once
/// metrics.jsonl: one JSON object per step, validation, evaluated task and halting alarm; each step
/// once.

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/train/appended_file.h"
#include "loopbank/train/event_log.h"

namespace loopbank {

/// What one step measured. A value that is not finite is written as null.
struct StepMetrics {
  int64_t step = 0;              ///< from 1
  double loss = 0.0;             ///< cross-entropy and ponder term, nats per token
  int64_t tokens = 0;            ///< trained on so far, including this step
  double tokens_per_second = 0;  ///< of this step
  double mean_loops = 1.0;       ///< mean n over layers and tokens; 1 in a dense model
  double learning_rate = 0.0;
  double gradient_norm = 0.0;                ///< before clipping
  double ponder = 0.0;                       ///< (mean n - 1) / (N - 1), not weighted
  std::optional<double> ponder_weight = {};  ///< in force at this step, if there is one
  std::vector<double> loops_by_layer = {};   ///< mean n of each layer
  bool skipped = false;                      ///< the weights stayed as they were
};

/// Whether the parts of a model do anything, a number a layer (train/part_measures.h); 0 for a layer
/// without the part, a list empty in a model without it.
struct PartMeasures {
  /// Mean over tokens of |h^(t) - h^(t-1)| / |h^(t-1)|, at the loop behind the first with most of it.
  std::vector<double> loop_changes = {};
  /// ln M less the entropy of the weights of a read, nats, mean over tokens and loops: 0 where all M
  /// slots weigh the same, ln M where one slot is read.
  std::vector<double> local_focus = {};
  std::vector<double> global_focus = {};
  /// Root mean square of the gradient of the loss by the D + 1 weights and the bias of the router.
  std::vector<double> router_gradients = {};
};

/// What one validation measured, all on the same rows and weights.
struct ValidationMetrics {
  int64_t step = 0;
  double loss = 0.0;        ///< cross-entropy, nats per token
  double bpb = 0.0;         ///< bits per byte of the targets' text
  double mean_loops = 1.0;  ///< mean n over layers and tokens
  /// Loss with at most 1, 2, .. N loops in every layer; empty in a dense model.
  std::map<int64_t, double> loss_by_loops = {};
  std::vector<double> loops_by_layer = {};  ///< mean n of each layer
  std::vector<double> local_gates = {};     ///< mean local gate of each layer; empty without a bank
  std::vector<double> global_gates = {};    ///< mean global gate of each layer
  /// With banks that add nothing, nats per token; none in a model without banks.
  std::optional<double> loss_without_memory = {};
  PartMeasures parts = {};
  /// s_t of each layer and loop, none of a dense layer; empty in a dense model.
  std::vector<std::vector<double>> loop_scales = {};
  /// How halting is spread over the tokens, for TensorBoard alone (train/halting_spread.h).
  std::vector<EventHistogram> halting = {};
};

/// What one evaluation measured for a task at a loop budget, or for a suite.
struct EvaluationMetrics {
  int64_t step = 0;
  std::string task = {};    ///< or the suite
  std::string metric = {};  ///< of `value`
  double value = 0.0;
  double bpb = 0.0;  ///< bits per byte of the correct choice
  int64_t instances = 0;
  int64_t max_loops = 1;
  double mean_loops = 1.0;
  double seconds = 0.0;
  bool is_suite = false;
};

[[nodiscard]] nlohmann::ordered_json to_json(const StepMetrics& metrics);
[[nodiscard]] nlohmann::ordered_json to_json(const ValidationMetrics& metrics);
[[nodiscard]] nlohmann::ordered_json to_json(const EvaluationMetrics& metrics);

/// The file, written row by row, and TensorBoard's files beside it (train/event_log.h). Each row is a
/// single write, so that a killed run leaves at most one torn line, the last, which the next run
/// drops.
class MetricsLog {
 public:
  /// Opens the file and drops, in one atomic step, every row after `last_step`; 0 drops all. The event
  /// files are cut back to the same rows.
  /// @param writes_events  whether TensorBoard's files are written
  /// @throws Error kCheckpoint when one of them cannot be read or written
  MetricsLog(const std::filesystem::path& path, int64_t last_step, bool writes_events = false);

  /// Appends one row.
  /// @param histograms  that belong to its event; the row does not hold them
  /// @throws Error kCheckpoint on a short write, a full disk included
  void write(const nlohmann::ordered_json& row, const std::vector<EventHistogram>& histograms = {});

  /// Waits until every row is on the disk: called before a checkpoint, whose rows must survive a
  /// power failure as it does.
  void sync();

 private:
  std::optional<AppendedFile> rows_;
  std::optional<EventLog> events_;
};

}  // namespace loopbank
