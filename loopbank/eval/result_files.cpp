#include "loopbank/eval/result_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "loopbank/support/files.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

/// Texts that were given in memory may hold any bytes.
std::string dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
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
               {"shots", result.shots},
               {"contexts_cut", result.contexts_cut},
               {"split_continuations", result.split_continuations}};
  auto& metrics = json["metrics"] = Json::object();
  for (const auto& item : result.metrics) {
    metrics[std::string(metric_name(item.metric))] = item.estimate.mean;
  }
  return json;
}

/// A suite's figure is an accuracy of several kinds, or bits a byte.
std::string suite_metric(const SuiteResult& suite) {
  return suite.metric == Metric::kBitsPerByte ? std::string(metric_name(suite.metric)) : "accuracy";
}

Json suite_json(const SuiteResult& suite) {
  return {{"suite", suite.suite},         {"metric", suite_metric(suite)},
          {"value", suite.value},         {"bpb", suite.bpb},
          {"max_loops", suite.max_loops}, {"mean_loops", suite.mean_loops}};
}

Json choice_json(const ContinuationScore& score, bool has_twin) {
  Json json = {{"sum_logits", score.log_probability},
               {"num_tokens", score.tokens},
               {"num_chars", score.characters},
               {"num_bytes", score.bytes},
               {"is_greedy", score.greedy},
               {"mean_loops", score.loops / static_cast<double>(score.tokens)}};
  if (has_twin) {
    json["sum_logits_uncond"] = score.unconditioned;
  }
  if (score.context_cut) {
    json["context_cut"] = true;
  }
  return json;
}

std::string predictions_name(size_t number, const std::string& task) {
  std::string safe = task;
  std::replace(safe.begin(), safe.end(), '/', '_');
  return fmt::format("task-{:03}-{}-predictions.jsonl", number, safe);
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

}  // namespace

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

Json to_json(const TaskResult& result, size_t instance) {
  const auto& item = result.instances[instance];
  Json json = {{"doc_id", instance}, {"native_id", item.id}, {"label", item.label}};
  auto& metrics = json["metrics"] = Json::object();
  bool has_twin = false;
  for (const auto& metric : result.metrics) {
    metrics[std::string(metric_name(metric.metric))] =
        instance_value(metric.metric, item.choices, item.label);
    has_twin = has_twin || metric.metric == Metric::kAccUncond;
  }
  if (result.metric != Metric::kBitsPerByte) {
    json["prediction"] = choose(result.metric, item.choices);
  }
  auto& output = json["model_output"] = Json::array();
  for (const auto& choice : item.choices) {
    output.push_back(choice_json(choice, has_twin));
  }
  return json;
}

void write_results(const EvalReport& report, const std::filesystem::path& directory) {
  create_directories(directory, ErrorCode::kData);
  auto metrics = to_json(report);
  for (size_t i = 0; i < report.results.size(); ++i) {
    const auto& result = report.results[i];
    std::string rows;
    for (size_t row = 0; row < result.instances.size(); ++row) {
      rows += dump(to_json(result, row), -1) + "\n";
    }
    const auto name = predictions_name(i, result.task);
    write_file_atomically(directory / name, rows);
    metrics["results"][i]["predictions"] = name;
  }
  write_file_atomically(directory / "metrics.json", dump(metrics, 2) + "\n");
}

std::string describe(const EvalReport& report) {
  std::string text =
      fmt::format("{:<38} {:>9} {:<19} {:>8} {:>8} {:>8} {:>10} {:>11}\n", "task", "instances",
                  "metric", "value", "stderr", "bpb", "max_loops", "mean_loops");
  for (const auto& result : report.results) {
    text += fmt::format("{:<38} {:>9} {:<19} {:>8.4f} {:>8.4f} {:>8.4f} {:>10} {:>11.3f}\n",
                        result.task, result.instances.size(), metric_name(result.metric),
                        result.value.mean, result.value.standard_error, result.bpb.mean,
                        result.max_loops, result.mean_loops);
  }
  for (const auto& suite : report.suites) {
    text += fmt::format("{:<38} {:>9} {:<19} {:>8.4f} {:>8} {:>8.4f} {:>10} {:>11.3f}\n",
                        suite.suite + " (mean)", "", suite_metric(suite), suite.value, "",
                        suite.bpb, suite.max_loops, suite.mean_loops);
  }
  append_notes(report, text);
  return text;
}

}  // namespace loopbank
