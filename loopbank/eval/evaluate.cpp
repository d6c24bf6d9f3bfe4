#include "loopbank/eval/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "loopbank/model/cost.h"
#include "loopbank/support/error.h"
#include "loopbank/support/hash.h"

namespace loopbank {
namespace {

void check_options(const ModelConfig& model, const Tokenizer& tokenizer,
                   const EvalOptions& options) {
  for (const int64_t budget : options.max_loops) {
    (void)model.budget_loops(budget, "evaluate");
  }
  if (options.batch_tokens < 1) {
    fail(ErrorCode::kConfig, "evaluate: expected batch_tokens of 1 or more, got {}.",
         options.batch_tokens);
  }
  if (tokenizer.vocab_size() > model.vocab_size) {
    fail(ErrorCode::kConfig,
         "evaluate: expected a tokenizer of at most {} ids (the model's vocab_size), got {}. Use "
         "the tokenizer that the model was trained with.",
         model.vocab_size, tokenizer.vocab_size());
  }
}

void check_task(const Task& task) {
  if (task.instances.empty()) {
    fail(ErrorCode::kData, "evaluate: expected at least one instance of {}, got none.", task.name);
  }
  for (size_t i = 0; i < task.instances.size(); ++i) {
    const auto& instance = task.instances[i];
    if (instance.label < 0 || instance.label >= static_cast<int64_t>(instance.choices.size())) {
      fail(ErrorCode::kData, "evaluate: instance {} of {}: expected a label of {} choices, got {}.",
           i, task.name, instance.choices.size(), instance.label);
    }
  }
}

/// All choices of a task, and behind them their unconditioned twins.
std::vector<ScoreRequest> requests_of(const Task& task) {
  std::vector<ScoreRequest> requests;
  for (const auto& instance : task.instances) {
    for (const auto& choice : instance.choices) {
      requests.push_back({.context = choice.context, .continuation = choice.continuation});
    }
  }
  if (!task.bare_context.empty()) {
    const size_t count = requests.size();
    for (size_t i = 0; i < count; ++i) {
      requests.push_back({.context = task.bare_context, .continuation = requests[i].continuation});
    }
  }
  return requests;
}

/// Hands the scores out to the instances they belong to.
std::vector<InstanceResult> by_instance(const Task& task,
                                        const std::vector<ContinuationScore>& scores) {
  size_t num_choices = 0;
  for (const auto& instance : task.instances) {
    num_choices += instance.choices.size();
  }
  std::vector<InstanceResult> results;
  size_t at = 0;
  for (const auto& instance : task.instances) {
    InstanceResult result{.id = instance.id,
                          .label = instance.label,
                          .choices = {},
                          .prior_bits = instance.prior_bits};
    for (size_t i = 0; i < instance.choices.size(); ++i, ++at) {
      result.choices.push_back(scores[at]);
      if (!task.bare_context.empty()) {
        result.choices.back().unconditioned = scores[num_choices + at].log_probability;
      }
    }
    results.push_back(std::move(result));
  }
  return results;
}

/// The metrics that say something about a task: an accuracy needs something to choose from.
std::vector<Metric> metrics_of(const Task& task) {
  std::vector<Metric> metrics;
  const bool has_choice =
      std::any_of(task.instances.begin(), task.instances.end(),
                  [](const Instance& instance) { return instance.choices.size() > 1; });
  if (has_choice) {
    metrics = {Metric::kAccRaw, Metric::kAccPerChar, Metric::kAccPerToken, Metric::kAccPerByte};
    if (!task.bare_context.empty()) {
      metrics.push_back(Metric::kAccUncond);
    }
  } else {
    metrics.push_back(Metric::kAccGreedy);
  }
  metrics.push_back(Metric::kBitsPerByte);
  if (std::find(metrics.begin(), metrics.end(), task.metric) == metrics.end()) {
    metrics.push_back(task.metric);
  }
  return metrics;
}

Estimate estimate_metric(Metric metric, const std::vector<InstanceResult>& instances) {
  std::vector<double> values;
  values.reserve(instances.size());
  for (const auto& instance : instances) {
    values.push_back(instance_value(metric, instance.choices, instance.label));
  }
  return estimate_mean(values);
}

std::optional<Estimate> estimate_known_bits(const std::vector<InstanceResult>& instances) {
  std::vector<double> values;
  for (const auto& instance : instances) {
    if (instance.prior_bits <= 0.0) {
      return std::nullopt;
    }
    const auto& right = instance.choices[static_cast<size_t>(instance.label)];
    values.push_back(known_bits(right, instance.prior_bits));
  }
  return estimate_mean(values);
}

/// Mean loops and what did not fit, over the choices (their twins left out).
void add_pass_figures(TaskResult& result) {
  double loops = 0.0;
  int64_t tokens = 0;
  for (const auto& instance : result.instances) {
    for (const auto& choice : instance.choices) {
      loops += choice.loops;
      tokens += choice.tokens;
      result.contexts_cut += choice.context_cut ? 1 : 0;
      result.split_continuations += choice.windows > 1 ? 1 : 0;
    }
  }
  result.mean_loops = loops / static_cast<double>(tokens);
}

/// Of texts that do not run into each other.
class Fingerprint {
 public:
  void add(std::string_view text) {
    hasher_.add(text);
    hasher_.add("\xFF");  // no byte of UTF-8
  }
  [[nodiscard]] std::string text() const { return "xxh3:" + format_hash(hasher_.hash()); }

 private:
  Hasher hasher_;
};

std::string hash_requests(const Task& task) {
  Fingerprint fingerprint;
  fingerprint.add(task.bare_context);
  for (const auto& instance : task.instances) {
    for (const auto& choice : instance.choices) {
      fingerprint.add(choice.context);
      fingerprint.add(choice.continuation);
    }
    fingerprint.add(std::to_string(instance.label));
  }
  return fingerprint.text();
}

TaskResult summarize(const Task& task, const ScoredRequests& scored, const ModelConfig& config,
                     int64_t max_loops) {
  TaskResult result;
  result.task = task.name;
  result.metric = task.metric;
  result.shots = task.shots;
  result.max_loops = max_loops;
  result.instances = by_instance(task, scored.scores);
  for (const auto metric : metrics_of(task)) {
    result.metrics.push_back(
        {.metric = metric, .estimate = estimate_metric(metric, result.instances)});
  }
  result.value = estimate_metric(task.metric, result.instances);
  result.bpb = estimate_metric(Metric::kBitsPerByte, result.instances);
  result.known_bits = estimate_known_bits(result.instances);
  add_pass_figures(result);
  const auto length = config.max_position_embeddings;
  result.flops_per_token = forward_flops(config, length, max_loops);
  result.expected_flops_per_token = expected_forward_flops(config, length, result.mean_loops);
  result.cost = scored.cost;
  result.requests_hash = hash_requests(task);
  return result;
}

/// The results of one loop budget as suites.
void add_suites(const std::vector<TaskResult>& results, int64_t max_loops,
                std::vector<SuiteResult>& suite_results) {
  for (const auto& suite : suites()) {
    SuiteResult mean{.suite = suite.name,
                     .tasks = suite.tasks,
                     .metric = Metric::kAccRaw,
                     .value = 0.0,
                     .bpb = 0.0,
                     .max_loops = max_loops,
                     .mean_loops = 0.0};
    const auto share = 1.0 / static_cast<double>(suite.tasks.size());
    size_t found = 0;
    for (const auto& result : results) {
      const bool member =
          std::find(suite.tasks.begin(), suite.tasks.end(), result.task) != suite.tasks.end();
      if (member && result.max_loops == max_loops) {
        ++found;
        mean.value += share * result.value.mean;
        mean.bpb += share * result.bpb.mean;
        mean.mean_loops += share * result.mean_loops;
        mean.flops_per_token = result.flops_per_token;
        mean.expected_flops_per_token += share * result.expected_flops_per_token;
        mean.cost += result.cost;
        mean.metric = result.metric == Metric::kBitsPerByte ? result.metric : mean.metric;
      }
    }
    if (found == suite.tasks.size()) {
      suite_results.push_back(mean);
    }
  }
}

}  // namespace

void check_evaluation(const ModelConfig& model, const Tokenizer& tokenizer,
                      const std::vector<Task>& tasks, const EvalOptions& options) {
  check_options(model, tokenizer, options);
  std::for_each(tasks.begin(), tasks.end(), check_task);
}

EvalReport evaluate(const LanguageModel& model, const Tokenizer& tokenizer,
                    const std::vector<Task>& tasks, const EvalOptions& options) {
  check_evaluation(model.config(), tokenizer, tasks, options);
  std::vector<int64_t> budgets = options.max_loops;
  if (budgets.empty()) {
    budgets.push_back(0);
  }
  for (auto& budget : budgets) {
    budget = model.config().budget_loops(budget, "evaluate");
  }
  // Encoded once for all budgets.
  std::vector<EncodedRequests> encoded;
  for (const auto& task : tasks) {
    encoded.emplace_back(tokenizer, requests_of(task), model.config().max_position_embeddings);
  }
  EvalReport report;
  report.precision = options.compute_dtype == at::kBFloat16 ? "bf16" : "fp32";
  report.exit = options.inference.exit.name();
  report.kv = options.inference.policy->name();
  report.max_length = model.config().max_position_embeddings;
  for (const int64_t budget : budgets) {
    for (size_t i = 0; i < tasks.size(); ++i) {
      ScoreOptions scoring{.inference = options.inference,
                           .batch_tokens = options.batch_tokens,
                           .share_prefixes = options.share_prefixes,
                           .compute_dtype = options.compute_dtype,
                           .on_progress = {},
                           .ranks = options.ranks};
      scoring.inference.max_loops = budget;
      if (options.on_progress) {
        scoring.on_progress = [&](int64_t done, int64_t total) {
          options.on_progress(tasks[i].name, done, total);
        };
      }
      report.results.push_back(
          summarize(tasks[i], score_requests(model, encoded[i], scoring), model.config(), budget));
    }
    add_suites(report.results, budget, report.suites);
  }
  return report;
}

}  // namespace loopbank
