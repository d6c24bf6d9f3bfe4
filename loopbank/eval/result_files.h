#pragma once
/// Scores as JSON, as files and as a table for people.

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "loopbank/eval/evaluate.h"

namespace loopbank {

/// {"results": [...], "suites": [...]}. A result holds task, metric, value, stderr, instances, bpb,
/// bpb_stderr, max_loops, mean_loops, flops_per_token, expected_flops_per_token, shots,
/// contexts_cut, split_continuations, the cost of scoring (seconds, tokens, computed_tokens,
/// tokens_per_second) and `metrics`, every figure under OLMES's name.
[[nodiscard]] nlohmann::ordered_json to_json(const EvalReport& report);

/// What a suite's value is: an accuracy, of several kinds, or bits a byte.
[[nodiscard]] std::string suite_metric(const SuiteResult& suite);

/// Writes into a folder, each file atomically and numbered like results[]:
///   task-000-arc_easy-predictions.jsonl   a row per instance
///   task-000-arc_easy-requests.jsonl      a row per request, of the results whose task is given
///   task-000-arc_easy-metrics.json        one result as OLMES writes it
///   metrics-all.jsonl                      the suites, then the same of every result, a row each
/// and last `metrics.json`: OLMES's all_primary_scores, tasks and model_config beside
/// to_json(report) and the names of the files. Files of such names that an earlier
/// report left are removed.
/// @throws Error kData when the folder cannot be written
void write_results(const EvalReport& report, const std::filesystem::path& directory,
                   std::span<const Task> tasks = {});

/// A table: a line per result and suite, then what did not fit the model.
[[nodiscard]] std::string describe(const EvalReport& report);

}  // namespace loopbank
