#include "loopbank/eval/result_files.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>
#include <system_error>

#include "loopbank/eval/olmes_results.h"
#include "loopbank/support/files.h"
#include "loopbank/support/hash.h"
#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kAllMetrics = "metrics-all.jsonl";

/// Texts that were given in memory may hold any bytes.
std::string dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

double a_second(int64_t count, const ScoringCost& cost) {
  return cost.seconds > 0 ? static_cast<double>(count) / cost.seconds : 0.0;
}

void add_cost(const ScoringCost& cost, Json& json) {
  json["seconds"] = cost.seconds;
  json["tokens"] = cost.tokens;
  json["computed_tokens"] = cost.computed_tokens;
  json["tokens_per_second"] = a_second(cost.tokens, cost);
  json["computed_tokens_per_second"] = a_second(cost.computed_tokens, cost);
}

Json task_json(const TaskResult& result) {
  Json json = {{"task", result.task},
               {"metric", metric_name(result.metric)},
               {"value", result.value.mean},
               {"stderr", result.value.standard_error},
               {"instances", result.instances.size()},
               {"bpb", result.bpb.mean},
               {"bpb_stderr", result.bpb.standard_error},
               {"max_loops", result.max_loops},
               {"mean_loops", result.mean_loops},
               {"flops_per_token", result.flops_per_token},
               {"expected_flops_per_token", result.expected_flops_per_token},
               {"shots", result.shots},
               {"contexts_cut", result.contexts_cut},
               {"split_continuations", result.split_continuations}};
  if (result.known_bits) {
    json[kKnownBits] = result.known_bits->mean;
    json["known_bits_stderr"] = result.known_bits->standard_error;
  }
  add_cost(result.cost, json);
  auto& metrics = json["metrics"] = Json::object();
  for (const auto& item : result.metrics) {
    metrics[std::string(metric_name(item.metric))] = item.estimate.mean;
  }
  return json;
}

Json suite_json(const SuiteResult& suite) {
  Json json = {{"suite", suite.suite},
               {"tasks", suite.tasks},
               {"metric", suite_metric(suite)},
               {"value", suite.value},
               {"bpb", suite.bpb},
               {"max_loops", suite.max_loops},
               {"mean_loops", suite.mean_loops},
               {"flops_per_token", suite.flops_per_token},
               {"expected_flops_per_token", suite.expected_flops_per_token}};
  add_cost(suite.cost, json);
  return json;
}

Json model_json(const EvalReport& report) {
  return {
      {"model", report.model},     {"model_type", "loopbank"}, {"max_length", report.max_length},
      {"dtype", report.precision}, {"exit", report.exit},      {"kv", report.kv}};
}

/// Of the model's settings and the budget: two results of one task hash are equal in what was asked
/// only if these are, too.
std::string model_hash(const EvalReport& report, const TaskResult& result) {
  auto json = model_json(report);
  json["max_loops"] = result.max_loops;
  return "xxh3:" + format_hash(hash_of(dump(json, -1)));
}

/// `task-007-piqa-`, what the names of a result's files begin with.
std::string file_prefix(size_t number, const std::string& task) {
  auto safe = short_task_name(task);
  std::replace(safe.begin(), safe.end(), '/', '_');
  return fmt::format("task-{:03}-{}-", number, safe);
}

std::string predictions_of(const TaskResult& result) {
  std::string rows;
  for (size_t row = 0; row < result.instances.size(); ++row) {
    rows += dump(olmes_prediction(result, row), -1) + "\n";
  }
  return rows;
}

std::string now_text() {
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(std::time(nullptr)));
}

/// A result as OLMES's task-NNN-NAME-metrics.json has it.
Json metrics_file_of(const EvalReport& report, size_t number) {
  const auto& result = report.results[number];
  auto task = olmes_task(report, result);
  return {{"task_name", short_task_name(result.task)},
          {"task_hash", result.requests_hash},
          {"model_hash", model_hash(report, result)},
          {"model_config", model_json(report)},
          {"task_config", task["task_config"]},
          {"processing_time", result.cost.seconds},
          {"current_date", now_text()},
          {"num_instances", result.instances.size()},
          {"metrics", task["metrics"]},
          {"task_idx", number}};
}

/// A suite as OLMES's metrics-all.jsonl has it.
Json suite_metrics_of(const EvalReport& report, const SuiteResult& suite) {
  const auto row = olmes_suite(report, suite);
  return {{"task_name", row["task_config"]["task_name"]},
          {"task_hash", nullptr},
          {"model_hash", nullptr},
          {"model_config", model_json(report)},
          {"task_config", row["task_config"]},
          {"processing_time", row["processing_time"]},
          {"current_date", now_text()},
          {"num_instances", row["num_instances"]},
          {"metrics", row["metrics"]},
          {"task_idx", nullptr}};
}

/// The rows of metrics-all.jsonl: suites first, then what each task's metrics.json holds.
std::string all_metrics_of(const EvalReport& report) {
  std::string rows;
  for (const auto& suite : report.suites) {
    rows += dump(suite_metrics_of(report, suite), -1) + "\n";
  }
  for (size_t i = 0; i < report.results.size(); ++i) {
    rows += dump(metrics_file_of(report, i), -1) + "\n";
  }
  return rows;
}

/// metrics.json without the names of files.
Json summary_of(const EvalReport& report) {
  Json json = {{"all_primary_scores", Json::array()},
               {"tasks", Json::array()},
               {"model_config", model_json(report)}};
  for (const auto& suite : report.suites) {  // OLMES puts them first
    json["tasks"].push_back(olmes_suite(report, suite));
  }
  for (const auto& result : report.results) {
    json["tasks"].push_back(olmes_task(report, result));
  }
  for (const auto& task : json["tasks"]) {
    json["all_primary_scores"].push_back(
        fmt::format("{}: {:.6g}", task["alias"].get<std::string>(),
                    task["metrics"]["primary_score"].get<double>()));
  }
  json.update(to_json(report));
  return json;
}

/// Files of another report would stand beside those of this one. metrics.json marks a whole report.
void remove_report(const fs::path& directory) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    const auto name = entry.path().filename().string();
    const bool is_of_task = name.starts_with("task-") &&
                            (name.ends_with("-predictions.jsonl") ||
                             name.ends_with("-requests.jsonl") || name.ends_with("-metrics.json"));
    if (is_of_task || name == "metrics.json" || name == kAllMetrics) {
      fs::remove(entry.path(), ignored);
    }
  }
}

void append_notes(const EvalReport& report, std::string& text) {
  int64_t cut = 0;
  int64_t split = 0;
  for (const auto& result : report.results) {
    cut += result.contexts_cut;
    split += result.split_continuations;
  }
  if (cut > 0) {
    text += fmt::format(
        "{} contexts did not fit the model and were cut from the left: other prompts than those of "
        "a longer model.\n",
        cut);
  }
  if (split > 0) {
    text +=
        fmt::format("{} continuations are longer than the model's T: scored in blocks.\n", split);
  }
}

/// A line of the table; the texts are those of columns that a suite has not.
template <typename Figures>
std::string table_row(const std::string& name, const std::string& instances,
                      const std::string& metric, double value, const std::string& error,
                      const Figures& figures, double bpb) {
  return fmt::format(
      "{:<28} {:>9} {:<18} {:>7.4f} {:>7} {:>7.4f} {:>6} {:>10.3f} {:>8} {:>9} {:>9} {:>8.1f}\n",
      name, instances, metric, value, error, bpb, figures.max_loops, figures.mean_loops,
      format_count(figures.flops_per_token), format_count(figures.expected_flops_per_token),
      format_count(a_second(figures.cost.tokens, figures.cost)), figures.cost.seconds);
}

}  // namespace

std::string suite_metric(const SuiteResult& suite) {
  return suite.metric == Metric::kBitsPerByte ? std::string(metric_name(suite.metric)) : "accuracy";
}

Json to_json(const EvalReport& report) {
  Json json = {{"results", Json::array()}, {"suites", Json::array()}};
  for (const auto& result : report.results) {
    json["results"].push_back(task_json(result));
  }
  for (const auto& suite : report.suites) {
    json["suites"].push_back(suite_json(suite));
  }
  return json;
}

void write_results(const EvalReport& report, const fs::path& directory,
                   std::span<const Task> tasks) {
  create_directories(directory, ErrorCode::kData);
  auto metrics = summary_of(report);
  remove_report(directory);
  for (size_t i = 0; i < report.results.size(); ++i) {
    const auto& result = report.results[i];
    const auto prefix = file_prefix(i, result.task);
    write_file_atomically(directory / (prefix + "predictions.jsonl"), predictions_of(result));
    metrics["results"][i]["predictions"] = prefix + "predictions.jsonl";
    const auto task = std::find_if(tasks.begin(), tasks.end(),
                                   [&](const Task& item) { return item.name == result.task; });
    if (task != tasks.end()) {
      write_file_atomically(directory / (prefix + "requests.jsonl"), olmes_requests(*task));
      metrics["results"][i]["requests"] = prefix + "requests.jsonl";
    }
    write_file_atomically(directory / (prefix + "metrics.json"),
                          dump(metrics_file_of(report, i), 2) + "\n");
  }
  write_file_atomically(directory / kAllMetrics, all_metrics_of(report));
  write_file_atomically(directory / "metrics.json", dump(metrics, 2) + "\n");
}

std::string describe(const EvalReport& report) {
  auto text =
      fmt::format("{:<28} {:>9} {:<18} {:>7} {:>7} {:>7} {:>6} {:>10} {:>8} {:>9} {:>9} {:>8}\n",
                  "task", "instances", "metric", "value", "stderr", "bpb", "budget", "mean_loops",
                  "FLOPs", "expected", "tokens/s", "seconds");
  for (const auto& result : report.results) {
    text += table_row(result.task, std::to_string(result.instances.size()),
                      std::string(metric_name(result.metric)), result.value.mean,
                      fmt::format("{:.4f}", result.value.standard_error), result, result.bpb.mean);
  }
  ScoringCost all;
  for (const auto& result : report.results) {
    all += result.cost;
  }
  for (const auto& suite : report.suites) {
    text += table_row(suite.suite + " (mean)", "", suite_metric(suite), suite.value, "", suite,
                      suite.bpb);
  }
  text += fmt::format(
      "FLOPs a forward token at T = {}: with all loops of the budget, and with the expected ones.\n"
      "{} tokens scored in {:.1f} s, of which {} ({:.0f} %) were computed: what begins alike is "
      "computed once.\n",
      report.max_length, format_count(static_cast<double>(all.tokens)), all.seconds,
      format_count(static_cast<double>(all.computed_tokens)),
      all.tokens > 0
          ? 100.0 * static_cast<double>(all.computed_tokens) / static_cast<double>(all.tokens)
          : 0.0);
  append_notes(report, text);
  return text;
}

}  // namespace loopbank
