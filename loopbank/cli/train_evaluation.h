#pragma once
/// The tasks of a run's [evaluation], read before the first step and scored when it says so.

#include <functional>
#include <vector>

#include "loopbank/model/language_model.h"
#include "loopbank/ranks/ranks.h"
#include "loopbank/train/metrics.h"
#include "loopbank/train/run_config.h"

namespace loopbank::cli {

/// What TrainOptions::evaluate takes: scores the tasks in the number type of the training, as
/// validation does. Empty if the run evaluates nothing.
/// @param ranks  each scores a share of the tasks; all call what is returned together
/// @throws Error as load_tasks and evaluate: whatever is wrong with the tasks is found here
[[nodiscard]] std::function<std::vector<EvaluationMetrics>(const LanguageModel&)> make_evaluation(
    const RunConfig& config, const Ranks& ranks);

}  // namespace loopbank::cli
