#pragma once
/// What a study measured, as a file and as the paper's table.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/study/match.h"
#include "loopbank/study/systems.h"

namespace loopbank {

/// One row of the table.
struct SystemResult {
  std::string name;
  std::string label;
  double parameters = 0.0;
  double forward_flops = 0.0;   ///< a token
  double training_flops = 0.0;  ///< a token
  double facts_accuracy = 0.0;
  double facts_bpb = 0.0;
  double reasoning_accuracy = 0.0;
  double reasoning_bpb = 0.0;
  /// Standard errors of the four scores over the questions of this one run.
  struct Errors {
    double facts_accuracy = 0.0;
    double facts_bpb = 0.0;
    double reasoning_accuracy = 0.0;
    double reasoning_bpb = 0.0;
  };
  Errors errors;
  int64_t facts_instances = 0;
  int64_t reasoning_instances = 0;
  double mean_loops = 0.0;  ///< on the questions, mean of the two parts; 1 for a dense model
  double validation_loss = 0.0;
  double tokens_per_second = 0.0;  ///< training, median over the steps
  int64_t steps = 0;
  double tokens = 0.0;              ///< trained on
  double seconds = 0.0;             ///< in training steps
  double evaluation_seconds = 0.0;  ///< in scoring the questions
  PaperScores paper;
  /// (baseline - target) / target, for the baselines that the solver derived.
  struct Residuals {
    double parameters = 0.0;
    double forward_flops = 0.0;
  };
  std::optional<Residuals> residuals;
};

struct StudyResult {
  std::string scale;
  uint64_t seed = 0;
  std::vector<SystemResult> systems;  ///< those that are done, in the table's order
  std::string command = {};           ///< that goes on with the study
  std::string settings = {};          ///< what all systems share, as TOML
  std::string data = {};              ///< what they were trained on and asked, as JSON
  int threads = 0;                    ///< that computed a system
};

[[nodiscard]] nlohmann::ordered_json to_json(const PaperScores& scores);
[[nodiscard]] nlohmann::ordered_json to_json(const SystemResult& result);
/// @throws Error kData for a missing key or a value of the wrong type; `where` names the file
[[nodiscard]] SystemResult system_result_from_json(const nlohmann::json& json,
                                                   const std::string& where);
/// {"scale", "seed", "command", "threads", "chance_accuracy", "data", "settings", "systems": [...]}
[[nodiscard]] nlohmann::ordered_json to_json(const StudyResult& result);

/// The paper's table with the measured scores and, beside them, the paper's own. The two were
/// measured on different data: facts stand for the commonsense suite, reasoning for the math suite.
[[nodiscard]] std::string format_table(const StudyResult& result);

/// How the measured order of the systems compares with the paper's: pairs ordered alike by column,
/// and the paper's main claims one by one. Says so where a claim does not come out, and where two
/// scores are nearer than twice the standard error of their difference (questions taken as
/// independent).
[[nodiscard]] std::string compare_with_paper(const StudyResult& result);

}  // namespace loopbank
