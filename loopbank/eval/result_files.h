#pragma once
/// Scores as JSON, as files and as a table for people.

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "loopbank/eval/evaluate.h"

namespace loopbank {

/// {"results": [...], "suites": [...]}. A result holds task, metric, value, stderr, instances, bpb,
/// bpb_stderr, max_loops, mean_loops, shots, contexts_cut, split_continuations and `metrics`, every
/// figure by OLMES's name.
[[nodiscard]] nlohmann::ordered_json to_json(const EvalReport& report);

/// One row of a predictions file: doc_id, native_id, label, metrics and, for each choice, what the
/// model said (sum_logits, the log-probability in nats, and the lengths it is divided by).
[[nodiscard]] nlohmann::ordered_json to_json(const TaskResult& result, size_t instance);

/// Writes into a folder, each file atomically: `task-000-arc_easy-predictions.jsonl`, ... with one
/// row an instance, numbered like results[], and last `metrics.json`, to_json(report) and the
/// names of these files.
/// @throws Error kData when the folder cannot be written
void write_results(const EvalReport& report, const std::filesystem::path& directory);

/// A table: a line a result and a suite, then what did not fit the model.
[[nodiscard]] std::string describe(const EvalReport& report);

}  // namespace loopbank
