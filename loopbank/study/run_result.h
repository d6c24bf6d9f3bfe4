#pragma once
/// What one run of a study measured: one system, one seed. The file result.json of its folder, and
/// what its other files tell: its speed, its validations and the inner life of its model.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/dissect/inside.h"
#include "loopbank/eval/evaluate.h"
#include "loopbank/study/columns.h"
#include "loopbank/study/systems.h"
#include "loopbank/train/trainer.h"

namespace loopbank {

/// Means over the questions of a task.
struct TaskScore {
  std::string task;
  Estimate accuracy;  ///< the task's headline figure; bits per byte where it has no choices
  Estimate bpb;
  std::optional<Estimate> known_bits = {};  ///< of a fact; where the prior of each answer is known
  int64_t instances = 0;
  double mean_loops = 1.0;
};

/// Problems of one kind and difficulty.
struct DifficultyScore {
  std::string kind;
  int64_t difficulty = 0;
  double accuracy = 0.0;
  double bpb = 0.0;
  int64_t instances = 0;
};

struct RunResult {
  std::string system;
  int64_t seed = 0;
  double parameters = 0.0;
  std::optional<double> embedding_parameters = {};  ///< of these: embedding and head
  double forward_flops = 0.0;                       ///< a token
  double training_flops = 0.0;                      ///< a token
  double expected_flops = 0.0;  ///< a token, forward, with mean_loops in place of N
  std::vector<TaskScore> tasks;
  std::vector<DifficultyScore> difficulty;  ///< of the embedded benchmark's problems
  double mean_loops = 1.0;                  ///< on the questions, mean over the tasks
  double validation_loss = 0.0;             ///< nats a token
  double validation_bpb = 0.0;
  double tokens_per_second = 0.0;  ///< training, median over the steps
  int64_t steps = 0;
  double tokens = 0.0;              ///< trained on
  double seconds = 0.0;             ///< in training steps
  double evaluation_seconds = 0.0;  ///< in scoring the questions

  /// The plain mean over a column's tasks; errors of tasks count as independent. Bits a parameter
  /// are less than 0 of a model that is surer of what is wrong than of what is right.
  [[nodiscard]] Estimate score(const Column& column) const;
};

/// What a run's files and its evaluation tell.
/// @param tokens_per_second  median over the steps of the whole run
[[nodiscard]] RunResult make_run_result(const System& system, const TrainResult& trained,
                                        const EvalReport& report, double tokens_per_second);

/// What the validations of one run measured, one after another; what was not measured is empty.
struct TrainingCurve {
  int64_t seed = 0;
  std::vector<int64_t> step = {};
  std::vector<double> validation_loss = {};
  std::vector<double> validation_bpb = {};
  std::vector<double> mean_loops = {};
  std::vector<ByLayer> loops_by_layer = {};
  std::vector<ByLayer> local_gates = {};
  std::vector<ByLayer> global_gates = {};
};

/// Over all steps of a run, however often it was interrupted.
/// @throws Error kData for a file that cannot be read
[[nodiscard]] double median_tokens_per_second(const std::filesystem::path& metrics);

/// From the metrics.jsonl of a run.
/// @throws Error kData for a file that cannot be read
[[nodiscard]] TrainingCurve read_training_curve(const std::filesystem::path& metrics, int64_t seed);

/// The inner life of a trained run's model on its validation rows: inside.json of its folder,
/// measured and written where it does not exist.
/// @throws Error kCheckpoint, kData as load_inference_model and open_run_data
void ensure_inside(const RunConfig& run, const std::filesystem::path& folder);

/// inside.json as it stands; nothing where there is none.
/// @throws Error kData for a file of another form
[[nodiscard]] std::optional<Inside> read_inside(const std::filesystem::path& folder);

}  // namespace loopbank
