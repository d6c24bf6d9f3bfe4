#include "loopbank/eval/olmes_results.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

/// What is divided by what, by OLMES's names of the sums over the correct choice.
struct CorrectFigures {
  double sum = 0.0;
  double per_token = 0.0;
  double per_char = 0.0;
  double bits_per_byte = 0.0;
};

CorrectFigures figures_of(const ContinuationScore& score) {
  return {.sum = score.log_probability,
          .per_token = score.log_probability / static_cast<double>(score.tokens),
          .per_char = score.log_probability / static_cast<double>(score.characters),
          .bits_per_byte = bits_per_byte(score)};
}

bool has_metric(const TaskResult& result, Metric metric) {
  return std::any_of(result.metrics.begin(), result.metrics.end(),
                     [=](const MetricResult& item) { return item.metric == metric; });
}

bool has_choice(const TaskResult& result) {
  return std::any_of(result.instances.begin(), result.instances.end(),
                     [](const InstanceResult& item) { return item.choices.size() > 1; });
}

Json choice_json(const ContinuationScore& score, bool has_twin) {
  const auto figures = figures_of(score);
  Json json = {{"sum_logits", score.log_probability},
               {"num_tokens", score.tokens},
               {"num_tokens_all", score.context_tokens + score.tokens},
               {"is_greedy", score.greedy}};
  if (has_twin) {
    json["sum_logits_uncond"] = score.unconditioned;
  }
  json["logits_per_token"] = figures.per_token;
  json["logits_per_char"] = figures.per_char;
  json["bits_per_byte"] = figures.bits_per_byte;
  json["num_chars"] = score.characters;
  json["num_bytes"] = score.bytes;
  json["mean_loops"] = score.loops / static_cast<double>(score.tokens);
  if (score.context_cut) {
    json["context_cut"] = true;
  }
  return json;
}

/// The metrics of one instance, by OLMES's names.
Json instance_metrics(const TaskResult& result, const InstanceResult& item) {
  Json json = Json::object();
  const auto predicted = [&](const char* key, Metric metric) {
    if (has_metric(result, metric)) {
      json[key] = choose(metric, item.choices);
    }
  };
  predicted("predicted_index_raw", Metric::kAccRaw);
  predicted("predicted_index_per_token", Metric::kAccPerToken);
  predicted("predicted_index_per_char", Metric::kAccPerChar);
  predicted("predicted_index_per_byte", Metric::kAccPerByte);
  predicted("predicted_index_uncond", Metric::kAccUncond);
  json["correct_choice"] = item.label;
  for (const auto& metric : result.metrics) {
    const double value = instance_value(metric.metric, item.choices, item.label);
    auto& place = json[std::string(metric_name(metric.metric))];
    if (metric.metric == Metric::kBitsPerByte) {
      place = value;
    } else {
      place = static_cast<int>(value);  // 0 or 1
    }
  }
  const auto figures = figures_of(item.choices[static_cast<size_t>(item.label)]);
  json["sum_logits_corr"] = figures.sum;
  json["logits_per_token_corr"] = figures.per_token;
  json["logits_per_char_corr"] = figures.per_char;
  json["bits_per_byte_corr"] = figures.bits_per_byte;
  if (item.prior_bits > 0.0) {
    json[kKnownBits] = known_bits(item.choices[static_cast<size_t>(item.label)], item.prior_bits);
  }
  return json;
}

bool has_several_budgets(const EvalReport& report) {
  std::set<int64_t> budgets;
  for (const auto& result : report.results) {
    budgets.insert(result.max_loops);
  }
  return budgets.size() > 1;
}

std::string with_budget(const EvalReport& report, const std::string& name, int64_t max_loops) {
  return has_several_budgets(report) ? fmt::format("{}:max_loops={}", name, max_loops) : name;
}

/// The document as OLMES keeps it in a request: a recorded request can be made anew from it.
Json document_json(const Instance& instance) {
  Json json = {{"id", instance.id}};
  if (!instance.options.empty()) {
    json["sentence"] = instance.query;
    for (size_t i = 0; i < instance.options.size(); ++i) {
      json[fmt::format("option{}", i + 1)] = instance.options[i];
    }
    json["answer"] = std::to_string(instance.label + 1);
    return json;
  }
  json["query"] = instance.query;
  json["choices"] = Json::array();
  for (const auto& item : instance.choices) {
    json["choices"].push_back(item.continuation.substr(item.continuation.starts_with(' ') ? 1 : 0));
  }
  json["gold"] = instance.label;
  return json;
}

Json request_row(const Task& task, const Instance& instance, size_t doc_id, size_t choice,
                 bool is_twin) {
  const auto& asked = instance.choices[choice];
  return {{"request_type", "loglikelihood"},
          {"doc", document_json(instance)},
          {"request",
           {{"context", is_twin ? task.bare_context : asked.context},
            {"continuation", asked.continuation}}},
          {"idx", choice},
          {"task_name", short_task_name(task.name)},
          {"doc_id", doc_id + (is_twin ? kTwinOffset : 0)},
          {"native_id", instance.id},
          {"label", instance.label}};
}

}  // namespace

std::string short_task_name(const std::string& task) {
  return task.substr(0, task.find(':'));
}

std::string olmes_alias(const EvalReport& report, const TaskResult& result) {
  const auto name = result.task.find(':') != std::string::npos
                        ? result.task
                        : fmt::format("{}:{}:{}shot", result.task,
                                      has_choice(result) ? "rc" : "bpb", result.shots);
  return with_budget(report, name, result.max_loops);
}

Json olmes_metrics(const TaskResult& result) {
  Json json = Json::object();
  for (const auto& item : result.metrics) {
    json[std::string(metric_name(item.metric))] = item.estimate.mean;
  }
  CorrectFigures sums;
  for (const auto& item : result.instances) {
    const auto figures = figures_of(item.choices[static_cast<size_t>(item.label)]);
    sums.sum += figures.sum;
    sums.per_token += figures.per_token;
    sums.per_char += figures.per_char;
  }
  const auto count = static_cast<double>(result.instances.size());
  json["sum_logits_corr"] = sums.sum / count;
  json["logits_per_token_corr"] = sums.per_token / count;
  json["logits_per_char_corr"] = sums.per_char / count;
  json["bits_per_byte_corr"] = result.bpb.mean;
  json["primary_score"] = result.value.mean;
  return json;
}

Json olmes_task(const EvalReport& report, const TaskResult& result) {
  const auto alias = olmes_alias(report, result);
  return {{"alias", alias},
          {"metrics", olmes_metrics(result)},
          {"num_instances", result.instances.size()},
          {"processing_time", result.cost.seconds},
          {"task_config",
           {{"task_name", short_task_name(result.task)},
            {"primary_metric", metric_name(result.metric)},
            {"num_shots", result.shots},
            {"max_loops", result.max_loops},
            {"metadata", {{"alias", alias}}}}}};
}

Json olmes_suite(const EvalReport& report, const SuiteResult& suite) {
  const auto alias = with_budget(report, suite.suite, suite.max_loops);
  size_t num_instances = 0;
  Json members = Json::array();
  for (const auto& result : report.results) {
    const bool is_member =
        std::find(suite.tasks.begin(), suite.tasks.end(), result.task) != suite.tasks.end();
    if (is_member && result.max_loops == suite.max_loops) {
      num_instances += result.instances.size();
      members.push_back(olmes_alias(report, result));
    }
  }
  return {{"alias", alias},
          {"metrics",
           {{"primary_score", suite.value},
            {"primary_score_macro", suite.value},
            {"bits_per_byte_corr", suite.bpb}}},
          {"num_instances", num_instances},
          {"processing_time", suite.cost.seconds},
          {"task_config",
           {{"task_name", short_task_name(suite.suite)},
            {"primary_metric", "macro"},
            {"max_loops", suite.max_loops},
            {"metadata", {{"alias", alias}, {"tasks", members}}}}}};
}

Json olmes_prediction(const TaskResult& result, size_t instance) {
  const auto& item = result.instances[instance];
  Json json = {{"doc_id", instance},
               {"native_id", item.id},
               {"metrics", instance_metrics(result, item)},
               {"model_output", Json::array()},
               {"label", item.label}};
  const bool has_twin = has_metric(result, Metric::kAccUncond);
  for (const auto& choice : item.choices) {
    json["model_output"].push_back(choice_json(choice, has_twin));
  }
  if (result.metric != Metric::kBitsPerByte) {
    json["prediction"] = choose(result.metric, item.choices);
  }
  json["task_hash"] = result.requests_hash;
  return json;
}

std::string olmes_requests(const Task& task) {
  std::string rows;
  for (const bool is_twin : {false, true}) {
    if (is_twin && task.bare_context.empty()) {
      break;
    }
    for (size_t doc_id = 0; doc_id < task.instances.size(); ++doc_id) {
      const auto& instance = task.instances[doc_id];
      for (size_t choice = 0; choice < instance.choices.size(); ++choice) {
        const auto row = request_row(task, instance, doc_id, choice, is_twin);
        rows += row.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
      }
    }
  }
  return rows;
}

}  // namespace loopbank
