#include "loopbank/study/exit_study.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "loopbank/data/text_reader.h"
#include "loopbank/eval/evaluate.h"
#include "loopbank/infer/logits_difference.h"
#include "loopbank/study/exit_conclusions.h"
#include "loopbank/study/exit_grid.h"
#include "loopbank/study/exit_measure.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

constexpr int64_t kFewestTokens = 32;  // of a document
constexpr int64_t kPromptShare = 4;    // a prompt is a quarter
constexpr int64_t kBytesOfToken = 32;  // encoded of a document for each token that is wanted

std::vector<ExitTask> score_tasks(const LanguageModel& model, const Tokenizer& tokenizer,
                                  const std::vector<Task>& tasks, const ExitCase& exit_case,
                                  at::ScalarType compute_dtype) {
  std::vector<ExitTask> values;
  if (tasks.empty() || exit_case.where != ExitWhere::kScoring) {
    return values;
  }
  EvalOptions options;
  options.compute_dtype = compute_dtype;
  options.inference.exit = ExitChoice::parse(exit_case.rule);
  options.inference.policy = exit_case.policy;
  options.inference.policy_in_prompt = true;
  for (const auto& result : evaluate(model, tokenizer, tasks, options).results) {
    ExitTask task{.task = result.task, .value = result.value.mean};
    for (const auto& instance : result.instances) {
      task.questions.push_back(instance_value(result.metric, instance.choices, instance.label));
    }
    values.push_back(std::move(task));
  }
  return values;
}

void expect_loops(const ModelConfig& config) {
  if (config.most_loops() < 2) {
    fail(ErrorCode::kConfig,
         "exits: expected a model with layers of 2 loops or more, got one without: nothing to "
         "leave early.");
  }
}

/// The row of a case among those that were measured before; null where it is not.
const ExitResult* measured_row(const ExitStudyOptions& options, const ExitCase& exit_case) {
  const auto found =
      std::find_if(options.measured.begin(), options.measured.end(), [&](const ExitResult& row) {
        return row.rule == exit_case.rule && row.kv == exit_case.policy->name() &&
               row.where == exit_case.where;
      });
  return found == options.measured.end() ? nullptr : &*found;
}

bool is_own_reference(const ExitCase& exit_case) {
  return exit_case.rule == "all" && exit_case.policy->name() == "full";
}

/// Measures rows, each place's against its own `all`.
class RowMaker {
 public:
  RowMaker(const LanguageModel& model, const Tokenizer& tokenizer,
           const std::vector<ExitDocument>& documents, const std::vector<Task>& tasks,
           const ExitStudyOptions& options)
      : model_(model),
        tokenizer_(tokenizer),
        tasks_(tasks),
        options_(options),
        num_documents_(documents.size()),
        measure_(model, documents, options) {}

  [[nodiscard]] const ExitMeasure& measure() const { return measure_; }

  ExitResult make(const ExitCase& exit_case) {
    read_reference(exit_case.where);
    const auto of_rule = is_own_reference(exit_case) ? of_all_ : of_rule_;
    const auto run = measure_.run(exit_case, num_documents_, of_rule);
    auto result = measure_.describe(exit_case, run);
    result.document_bpb = measure_.document_bpb(run);
    result.bpb = mean_of(result.document_bpb);
    const auto difference = compare_logits(of_all_, of_rule);
    result.kl = difference.kl;
    result.top1_agreement = difference.top1_agreement;
    measure_.time(exit_case, result);
    result.tasks = score_tasks(model_, tokenizer_, tasks_, exit_case, options_.compute_dtype);
    return result;
  }

 private:
  /// The logits of `all` where the row is, unless they are there.
  void read_reference(ExitWhere where) {
    if (!of_all_.defined()) {
      of_all_ = at::empty({measure_.scored(), model_.config().vocab_size}, at::kFloat);
      of_rule_ = at::empty_like(of_all_);
    } else if (where == where_) {
      return;
    }
    where_ = where;
    (void)measure_.run({"all", &key_value_policy("full"), where}, num_documents_, of_all_);
  }

  const LanguageModel& model_;
  const Tokenizer& tokenizer_;
  const std::vector<Task>& tasks_;
  const ExitStudyOptions& options_;
  size_t num_documents_;
  ExitMeasure measure_;
  at::Tensor of_all_;   // [scored, V]
  at::Tensor of_rule_;  // [scored, V]
  ExitWhere where_ = ExitWhere::kDecode;
};

}  // namespace

std::string_view name_of(ExitWhere where) {
  return where == ExitWhere::kDecode       ? "decode"
         : where == ExitWhere::kEverywhere ? "everywhere"
                                           : "scoring";
}

std::vector<ExitDocument> read_exit_documents(const std::filesystem::path& path,
                                              const Tokenizer& tokenizer,
                                              const ExitStudyOptions& options) {
  TextReader reader(path);
  std::vector<ExitDocument> documents;
  std::string text;
  int64_t scored = 0;
  while (scored < options.limit_tokens && reader.next(text)) {
    const auto most = static_cast<size_t>(options.document_tokens) + 1;  // the last one is not read
    auto tokens = tokenizer.encode_prompt(
        std::string_view(text).substr(0, most * static_cast<size_t>(kBytesOfToken)));
    tokens.resize(std::min(tokens.size(), most));
    if (static_cast<int64_t>(tokens.size()) < kFewestTokens) {
      continue;
    }
    ExitDocument document{.tokens = std::move(tokens)};
    document.prompt = static_cast<int64_t>(document.tokens.size()) / kPromptShare;
    const auto left = options.limit_tokens - scored;
    if (document.num_scored() > left) {
      document.tokens.resize(static_cast<size_t>(document.prompt + left));
    }
    for (auto at = document.prompt; at < static_cast<int64_t>(document.tokens.size()); ++at) {
      document.bytes += static_cast<int64_t>(
          tokenizer.token_bytes(document.tokens[static_cast<size_t>(at)]).size());
    }
    scored += document.num_scored();
    documents.push_back(std::move(document));
  }
  if (documents.size() < 2) {
    fail(ErrorCode::kData,
         "{}: expected at least 2 documents of {} tokens or more to compare by, got {}.",
         path.string(), kFewestTokens, documents.size());
  }
  return documents;
}

std::vector<std::string> exit_rules_of(const LanguageModel& model,
                                       const std::vector<ExitDocument>& documents,
                                       const ExitStudyOptions& options) {
  const at::NoGradGuard no_grad;
  const auto& config = model.config();
  expect_loops(config);
  auto rules = options.rules;
  if (rules.empty()) {
    ExitMeasure measure(model, documents, options);
    const auto mean_loops = [&](const std::string& rule) {
      const ExitCase scoring{rule, &key_value_policy("full"), ExitWhere::kScoring};
      return measure.describe(scoring, measure.run(scoring, measure.timed())).mean_loops;
    };
    rules = exit_grid(config.mean_loops(), config.most_loops(), mean_loops);
  }
  for (const auto& rule : rules) {
    (void)ExitChoice::parse(rule, "--rules");
  }
  std::erase(rules, "all");
  rules.insert(rules.begin(), "all");
  return rules;
}

ExitStudy measure_exits(const LanguageModel& model, const Tokenizer& tokenizer,
                        const std::vector<ExitDocument>& documents, const std::vector<Task>& tasks,
                        const ExitStudyOptions& options) {
  const at::NoGradGuard no_grad;
  expect_loops(model.config());
  const auto cases = exit_cases(exit_rules_of(model, documents, options), options);
  RowMaker rows(model, tokenizer, documents, tasks, options);
  ExitStudy study{.documents = static_cast<int64_t>(documents.size()),
                  .scored_tokens = rows.measure().scored(),
                  .timed_documents = static_cast<int64_t>(rows.measure().timed())};
  for (const auto& exit_case : cases) {
    if (options.on_progress) {
      options.on_progress(static_cast<int64_t>(study.results.size()),
                          static_cast<int64_t>(cases.size()));
    }
    const auto* known = measured_row(options, exit_case);
    study.results.push_back(known != nullptr ? *known : rows.make(exit_case));
    if (known == nullptr && options.on_result) {
      options.on_result(study.results.back());
    }
  }
  conclude_exits(study);
  return study;
}

}  // namespace loopbank
