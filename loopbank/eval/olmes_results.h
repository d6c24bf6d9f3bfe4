#pragma once
/// Results in the form in which OLMES writes them, so that whatever reads its files reads ours.
///
/// What only OLMES knows is left out (dates of data sets, hashes of its configuration); what only
/// we report stands beside its keys.

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "loopbank/eval/evaluate.h"

namespace loopbank {

/// `arc_easy`: the name before any variant, as it stands in names of files.
[[nodiscard]] std::string short_task_name(const std::string& task);

/// How OLMES names a result: the task as it was asked for if that names the variant, otherwise with
/// `:rc` or `:bpb` and the number of shots, and with the budget if the report has several.
///     arc_easy:rc::olmes    arc_easy:rc:5shot    arc_easy:rc:5shot:max_loops=2
[[nodiscard]] std::string olmes_alias(const EvalReport& report, const TaskResult& result);

/// Means over the instances: acc_raw, ..., sum_logits_corr, logits_per_token_corr,
/// logits_per_char_corr, bits_per_byte_corr, and primary_score, the headline figure.
[[nodiscard]] nlohmann::ordered_json olmes_metrics(const TaskResult& result);

/// An entry of metrics.json's "tasks": alias, metrics, num_instances, processing_time, task_config.
[[nodiscard]] nlohmann::ordered_json olmes_task(const EvalReport& report, const TaskResult& result);
[[nodiscard]] nlohmann::ordered_json olmes_suite(const EvalReport& report,
                                                 const SuiteResult& suite);

/// A row of a predictions file: doc_id, native_id, metrics, model_output, label, and the headline
/// metric's choice as `prediction`. In model_output each choice has sum_logits (the log-probability
/// in nats) and what it is divided by.
[[nodiscard]] nlohmann::ordered_json olmes_prediction(const TaskResult& result, size_t instance);

/// The rows of a requests file, a line each: every choice, then every unconditioned twin with
/// kTwinOffset added to its doc_id.
[[nodiscard]] std::string olmes_requests(const Task& task);
inline constexpr size_t kTwinOffset = 1000000;

}  // namespace loopbank
