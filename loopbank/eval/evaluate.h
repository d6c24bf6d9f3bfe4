#pragma once
/// A model scored on tasks: the front of this folder.
///
///     const auto model = load_model("runs/mem-g3");
///     const auto tokenizer = Tokenizer::load("runs/mem-g3");
///     const auto tasks = load_tasks({"commonsense"}, {.directories = {"evaluation/common"}});
///     const auto report = evaluate(model, tokenizer, tasks, {});

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/eval/scorer.h"
#include "loopbank/eval/task.h"

namespace loopbank {

struct EvalOptions {
  /// Loop budgets, each with one result per task; 0, or an empty list: each layer's own N.
  std::vector<int64_t> max_loops;
  InferenceOptions inference{};  ///< exit rule and policy, under each budget
  int64_t batch_tokens = ScoreOptions{}.batch_tokens;
  bool share_prefixes = ScoreOptions{}.share_prefixes;
  at::ScalarType compute_dtype = ScoreOptions{}.compute_dtype;
  Ranks ranks{};  ///< each scores a share of every task; all return the whole report
  /// Called after every batch with the task, the number of its windows scored so far, and their
  /// total, of this rank.
  std::function<void(const std::string& task, int64_t done, int64_t total)> on_progress;
};

/// The scores of an instance's choices, in their order.
struct InstanceResult {
  std::string id;
  int64_t label = 0;
  std::vector<ContinuationScore> choices;
  double prior_bits = 0.0;  ///< of the correct choice; 0: not known
};

/// One metric of a task.
struct MetricResult {
  Metric metric = Metric::kAccRaw;
  Estimate estimate;
};

/// One task at one loop budget.
struct TaskResult {
  std::string task;
  Metric metric = Metric::kAccRaw;  ///< the headline figure
  Estimate value;                   ///< of the headline figure
  Estimate bpb;                     ///< bits per byte of the correct choice, mean over instances
  std::optional<Estimate> known_bits = {};  ///< where every instance has prior_bits
  std::vector<MetricResult> metrics;  ///< all that apply to the task, the headline figure included
  int64_t shots = 0;
  int64_t max_loops = 1;    ///< loop budget; 1 for a dense model
  double mean_loops = 1.0;  ///< expected loops, mean over layers and scored tokens of all choices
  /// Forward FLOPs per token as model/cost.h counts them at T, the longest sequence: with every
  /// loop of the budget, which is what ran, and with mean_loops, which is what a token that stops
  /// would cost.
  double flops_per_token = 0.0;
  double expected_flops_per_token = 0.0;
  int64_t contexts_cut = 0;         ///< choices whose context had to be cut
  int64_t split_continuations = 0;  ///< choices longer than T, scored in several windows
  ScoringCost cost = {};
  /// Hash of everything asked: the same for the same prompts, choices and labels.
  std::string requests_hash = {};
  std::vector<InstanceResult> instances;
};

/// The plain mean over the tasks of a suite at one loop budget.
struct SuiteResult {
  std::string suite;
  std::vector<std::string> tasks = {};
  Metric metric = Metric::kAccRaw;  ///< kBitsPerByte, or kAccRaw for a mean of accuracies
  double value = 0.0;
  double bpb = 0.0;
  int64_t max_loops = 1;
  double mean_loops = 1.0;
  double flops_per_token = 0.0;           ///< as of its tasks
  double expected_flops_per_token = 0.0;  ///< mean over its tasks
  ScoringCost cost = {};                  ///< of its tasks together
};

struct EvalReport {
  std::string model = {};           ///< where it came from; filled in by the caller
  std::string precision = {};       ///< fp32 or bf16
  std::string exit = "all";         ///< rule by which tokens left layers
  std::string kv = "full";          ///< policy of keys and values
  int64_t max_length = 0;           ///< T of the model, tokens
  std::vector<TaskResult> results;  ///< by loop budget, then task, in the order asked for
  std::vector<SuiteResult> suites;  ///< every suite whose tasks were all scored
};

/// Checks everything that `evaluate` checks, before a model is loaded.
/// @throws Error as `evaluate`
void check_evaluation(const ModelConfig& model, const Tokenizer& tokenizer,
                      const std::vector<Task>& tasks, const EvalOptions& options = {});

/// Scores every task at every loop budget. The same input gives the same result; another
/// batch_tokens changes no result.
/// @throws Error kConfig for a loop budget that the model has no loops for
///   (ModelConfig::budget_loops), batch_tokens under 1 or a tokenizer with more ids than the
///   model's vocabulary; kData for a task without an instance or a label without a choice
[[nodiscard]] EvalReport evaluate(const LanguageModel& model, const Tokenizer& tokenizer,
                                  const std::vector<Task>& tasks, const EvalOptions& options = {});

}  // namespace loopbank
