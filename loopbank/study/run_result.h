#pragma once
/// What one run of a study measured: one system, one seed. The file result.json of its folder.

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "loopbank/eval/evaluate.h"
#include "loopbank/study/columns.h"
#include "loopbank/study/systems.h"
#include "loopbank/train/trainer.h"

namespace loopbank {

/// A mean over questions and its standard error.
struct Score {
  double value = 0.0;
  double error = 0.0;
};

struct TaskScore {
  std::string task;
  Score accuracy;  ///< the task's headline figure; bits a byte where it has no choices
  Score bpb;
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
  double forward_flops = 0.0;   ///< a token
  double training_flops = 0.0;  ///< a token
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

  /// The plain mean over a column's tasks; errors of tasks count as independent.
  [[nodiscard]] Score score(const Column& column) const;
};

/// What a run's files and its evaluation tell.
/// @param tokens_per_second  median over the steps of the whole run
[[nodiscard]] RunResult make_run_result(const System& system, const TrainResult& trained,
                                        const EvalReport& report, double tokens_per_second);

[[nodiscard]] nlohmann::ordered_json to_json(const RunResult& result);
/// @throws Error kData for a missing key or a value of the wrong type; `where` names the file
[[nodiscard]] RunResult run_result_from_json(const nlohmann::json& json, const std::string& where);

}  // namespace loopbank
