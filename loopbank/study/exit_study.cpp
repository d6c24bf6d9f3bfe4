#include "loopbank/study/exit_study.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <map>
#include <numbers>
#include <numeric>
#include <utility>

#include "loopbank/data/text_reader.h"
#include "loopbank/eval/evaluate.h"
#include "loopbank/infer/engine.h"
#include "loopbank/model/cost.h"
#include "loopbank/study/exit_fronts.h"
#include "loopbank/study/exit_grid.h"
#include "loopbank/support/error.h"
#include "loopbank/support/stopwatch.h"

namespace loopbank {
namespace {

constexpr int64_t kFewestTokens = 32;       // of a document
constexpr int64_t kPromptShare = 4;         // a prompt is a quarter
constexpr int64_t kBytesOfToken = 32;       // encoded of a document for each token that is wanted
constexpr int64_t kRowsCompared = 256;      // at a time
constexpr double kFewestFlopsSaved = 0.01;  // of which the returned share is a figure
constexpr uint64_t kExitSeed = 1;
constexpr int64_t kExitResamples = 2000;

/// What one run over documents gave.
struct ExitRun {
  std::vector<double> nats;  // of each document
  EngineCounts counts;       // of this run alone
  double positions = 0.0;    // of the tokens read, summed
  double seconds = 0.0;
};

EngineCounts counts_between(const EngineCounts& before, const EngineCounts& after) {
  auto counts = after;
  counts.tokens -= before.tokens;
  counts.head_rows -= before.head_rows;
  for (size_t l = 0; l < counts.loops.run.size(); ++l) {
    counts.loops.run[l] -= before.loops.run[l];
    counts.loops.late[l] -= before.loops.late[l];
  }
  return counts;
}

/// FLOPs of a token read: the loops that ran, keys and values made late, the head where it was asked.
double flops_of(const ModelConfig& config, const ExitRun& run) {
  const auto tokens = static_cast<double>(run.counts.tokens);
  const auto sum = [](const std::vector<int64_t>& counts) {
    return static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
  };
  const auto layers = static_cast<double>(config.num_hidden_layers);
  const double mean_loops = sum(run.counts.loops.run) / (tokens * layers);
  // A token at position p sees p + 1 tokens, (T + 1) / 2 on average.
  const auto length = static_cast<int64_t>(std::lround(2 * run.positions / tokens + 1));
  const double head = 2.0 * static_cast<double>(config.vocab_size * config.hidden_size);
  const double late = 4.0 * static_cast<double>(config.hidden_size * config.num_key_value_heads *
                                                config.head_size());
  return expected_forward_flops(config, length, mean_loops) - head +
         (static_cast<double>(run.counts.head_rows) * head + sum(run.counts.loops.late) * late) /
             tokens;
}

/// A rule under a policy.
struct ExitCase {
  std::string rule;
  const KeyValuePolicy* policy;
  ExitWhere where;
};

class ExitMeasure {
 public:
  ExitMeasure(const LanguageModel& model, const std::vector<ExitDocument>& documents,
              const ExitStudyOptions& options)
      : model_(model),
        documents_(documents),
        options_(options),
        engine_(model, {.compute_dtype = options.compute_dtype, .share_beginnings = false}) {
    for (const auto& document : documents_) {
      offsets_.push_back(scored_);
      scored_ += document.num_scored();
      bytes_ += static_cast<double>(document.bytes);
    }
  }

  [[nodiscard]] int64_t scored() const { return scored_; }

  /// @param logits  [scored, V] fp32 that the scored tokens' go to, or undefined
  ExitRun run(const ExitCase& exit_case, size_t num_documents, at::Tensor logits = {}) {
    ExitRun run;
    run.nats.assign(num_documents, 0.0);
    const auto before = engine_.counts();
    std::map<RequestId, size_t> document_of;
    for (size_t d = 0; d < num_documents; ++d) {
      document_of[engine_.add(request(exit_case, d, logits))] = d;
      const auto read = static_cast<double>(documents_[d].tokens.size()) - 1;
      run.positions += read * (read - 1) / 2;
    }
    const Stopwatch watch;
    while (!engine_.idle()) {
      for (const auto& scored : engine_.step().scored) {
        run.nats[document_of.at(scored.request)] -= scored.log_probability;
      }
    }
    run.seconds = watch.seconds();
    run.counts = counts_between(before, engine_.counts());
    return run;
  }

  /// Nats of each document over the bytes of a mean one: their mean is the bits per byte of all.
  [[nodiscard]] std::vector<double> document_bpb(const ExitRun& run) const {
    const double scale = std::numbers::ln2 * bytes_ / static_cast<double>(documents_.size());
    std::vector<double> values;
    for (const double nats : run.nats) {
      values.push_back(nats / scale);
    }
    return values;
  }

  [[nodiscard]] size_t timed() const {
    return std::min(documents_.size(), static_cast<size_t>(options_.timed_documents));
  }

 private:
  Request request(const ExitCase& exit_case, size_t d, const at::Tensor& logits) {
    const auto& document = documents_[d];
    const auto prompt = document.tokens.begin() + document.prompt;
    Request request;
    request.inference.exit = ExitChoice::parse(exit_case.rule);
    request.inference.policy = exit_case.policy;
    request.inference.policy_in_prompt = exit_case.where != ExitWhere::kDecode;
    if (exit_case.where == ExitWhere::kScoring) {
      request.prompt = document.tokens;
      request.max_tokens = 0;
      request.score_from = document.prompt;
    } else {
      request.prompt.assign(document.tokens.begin(), prompt);
      request.forced.assign(prompt, document.tokens.end());
    }
    if (logits.defined()) {
      auto* const first = logits.data_ptr<float>() + offsets_[d] * model_.config().vocab_size;
      request.on_logits = [first, from = document.prompt](int64_t place,
                                                          std::span<const float> values) {
        std::memcpy(first + (place - from) * static_cast<int64_t>(values.size()), values.data(),
                    values.size_bytes());
      };
    }
    return request;
  }

  const LanguageModel& model_;
  const std::vector<ExitDocument>& documents_;
  const ExitStudyOptions& options_;
  Engine engine_;
  std::vector<int64_t> offsets_;
  int64_t scored_ = 0;
  double bytes_ = 0.0;
};

/// KL(all || rule) and the share of rows whose largest logit is the same one.
void compare_logits(const at::Tensor& of_all, const at::Tensor& of_rule, ExitResult& result) {
  const auto rows = of_all.size(0);
  double kl = 0.0;
  double same = 0.0;
  for (int64_t from = 0; from < rows; from += kRowsCompared) {
    const auto count = std::min(kRowsCompared, rows - from);
    const auto p = of_all.narrow(0, from, count).log_softmax(1);   // [r, V]
    const auto q = of_rule.narrow(0, from, count).log_softmax(1);  // [r, V]
    kl += (p.exp() * (p - q)).sum(at::kDouble).item<double>();
    same += p.argmax(1).eq(q.argmax(1)).sum().item<double>();
  }
  result.kl = std::max(0.0, kl / static_cast<double>(rows));
  result.top1_agreement = same / static_cast<double>(rows);
}

std::vector<const KeyValuePolicy*> chosen_policies(const ExitStudyOptions& options) {
  std::vector<const KeyValuePolicy*> chosen = {&key_value_policy("full")};
  for (const auto& name : options.policies) {
    chosen.push_back(&key_value_policy(name, "--policies"));
  }
  if (options.policies.empty()) {
    chosen = key_value_policies();
  }
  std::vector<const KeyValuePolicy*> once;  // `full` first
  std::copy_if(chosen.begin(), chosen.end(), std::back_inserter(once), [&](const auto* policy) {
    return std::find(once.begin(), once.end(), policy) == once.end();
  });
  return once;
}

/// Whether a case says something that no other one does. What prompts see with `full` is the same in
/// `decode` and `everywhere`; a prompt that is read token by token in `scoring` is decoded; and the
/// other policies are compared where tokens leave by the gate and without it, softly.
bool is_worth_measuring(const ExitCase& exit_case) {
  const auto& rule = exit_case.rule;
  if (exit_case.policy->name() == "full") {
    return exit_case.where != ExitWhere::kEverywhere || rule == "all";
  }
  const bool by_gate_or_without =
      rule == "all" || rule.starts_with("cdf:") || rule.starts_with("change:");
  return by_gate_or_without && !ExitChoice::parse(rule).is_hard() &&
         (exit_case.where != ExitWhere::kScoring || exit_case.policy->reads_in_step());
}

/// Rules by policies by places; `all` with `full` is the first of each place.
std::vector<ExitCase> cases_of(const std::vector<std::string>& rules,
                               const std::vector<const KeyValuePolicy*>& policies) {
  std::vector<ExitCase> cases;
  for (const auto where : {ExitWhere::kDecode, ExitWhere::kEverywhere, ExitWhere::kScoring}) {
    for (const auto* policy : policies) {
      for (const auto& rule : rules) {
        const ExitCase exit_case{rule, policy, where};
        if (is_worth_measuring(exit_case)) {
          cases.push_back(exit_case);
        }
      }
    }
  }
  return cases;
}

/// Seconds of a case and of `all`, medians of runs in turns.
void time_case(ExitMeasure& measure, const ExitCase& exit_case, int64_t turns, ExitResult& result) {
  const ExitCase all{"all", &key_value_policy("full"), exit_case.where};
  std::vector<double> of_rule, of_all, saved;
  for (int64_t turn = 0; turn < turns; ++turn) {
    of_all.push_back(measure.run(all, measure.timed()).seconds);
    of_rule.push_back(measure.run(exit_case, measure.timed()).seconds);
    saved.push_back(1.0 - of_rule.back() / of_all.back());
  }
  result.seconds = median(of_rule);
  result.seconds_of_all = median(of_all);
  result.time_saved_share = median(saved);
}

ExitResult describe_run(const ModelConfig& config, const ExitCase& exit_case, const ExitRun& run) {
  ExitResult result{.rule = exit_case.rule,
                    .hard = ExitChoice::parse(exit_case.rule).is_hard(),
                    .kv = std::string(exit_case.policy->name()),
                    .where = exit_case.where};
  for (const auto loops : run.counts.loops.run) {
    result.mean_loops_by_layer.push_back(static_cast<double>(loops) /
                                         static_cast<double>(run.counts.tokens));
  }
  result.mean_loops = mean_of(result.mean_loops_by_layer);
  result.flops_per_token = flops_of(config, run);
  return result;
}

/// Those that were asked for or a grid; `all` is the first.
std::vector<std::string> rules_of(const ModelConfig& config, const ExitStudyOptions& options,
                                  ExitMeasure& measure) {
  auto rules = options.rules;
  if (rules.empty()) {
    double num_loops = 0.0;
    for (int64_t l = 0; l < config.num_hidden_layers; ++l) {
      num_loops += static_cast<double>(std::max<int64_t>(config.loops(l), 1));
    }
    const auto mean_loops = [&](const std::string& rule) {
      const ExitCase scoring{rule, &key_value_policy("full"), ExitWhere::kScoring};
      return describe_run(config, scoring, measure.run(scoring, measure.timed())).mean_loops;
    };
    rules = exit_grid(num_loops / static_cast<double>(config.num_hidden_layers),
                      config.most_loops(), mean_loops);
  }
  std::erase(rules, "all");
  rules.insert(rules.begin(), "all");
  return rules;
}

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
    values.push_back({result.task, result.value.mean});
  }
  return values;
}

}  // namespace

std::string_view name_of(ExitWhere where) {
  return where == ExitWhere::kDecode       ? "decode"
         : where == ExitWhere::kEverywhere ? "everywhere"
                                           : "scoring";
}

std::vector<ExitDocument> read_exit_documents(const std::filesystem::path& path,
                                              const Tokenizer& tokenizer,
                                              const ExitStudyOptions& options) {
  TextReader reader(path, /*strict=*/false);
  std::vector<ExitDocument> documents;
  std::string text;
  int64_t scored = 0;
  while (scored < options.limit_tokens && reader.next(text)) {
    const auto most = static_cast<size_t>(options.document_tokens) + 1;  // the last one is not read
    auto tokens = tokenizer.encode(
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

ExitStudy measure_exits(const LanguageModel& model, const Tokenizer& tokenizer,
                        const std::vector<ExitDocument>& documents, const std::vector<Task>& tasks,
                        const ExitStudyOptions& options) {
  const at::NoGradGuard no_grad;
  const auto& config = model.config();
  if (config.most_loops() < 2) {
    fail(ErrorCode::kConfig,
         "exits: expected a model with layers of 2 loops or more, got one without: nothing to "
         "leave early.");
  }
  ExitMeasure measure(model, documents, options);
  const auto rules = rules_of(config, options, measure);
  const auto value_bytes = options.compute_dtype == at::kBFloat16 ? 2 : 4;
  const auto cases = cases_of(rules, chosen_policies(options));
  ExitStudy study{.documents = static_cast<int64_t>(documents.size()),
                  .scored_tokens = measure.scored(),
                  .timed_documents = static_cast<int64_t>(measure.timed())};
  const auto of_all = at::empty({measure.scored(), config.vocab_size}, at::kFloat);
  const auto of_rule = at::empty_like(of_all);
  (void)measure.run(cases.front(), measure.timed());  // weights are prepared, memory is there
  size_t first = 0;                                   // `all` with `full` of the place
  for (const auto& exit_case : cases) {
    if (options.on_progress) {
      options.on_progress(static_cast<int64_t>(study.results.size()),
                          static_cast<int64_t>(cases.size()));
    }
    const bool is_reference = exit_case.rule == "all" && exit_case.policy->name() == "full";
    first = is_reference ? study.results.size() : first;
    const auto run = measure.run(exit_case, documents.size(), is_reference ? of_all : of_rule);
    auto result = describe_run(config, exit_case, run);
    result.kv_bytes_per_token = key_value_bytes(config, *exit_case.policy, value_bytes);
    result.document_bpb = measure.document_bpb(run);
    result.bpb = mean_of(result.document_bpb);
    compare_logits(of_all, is_reference ? of_all : of_rule, result);
    time_case(measure, exit_case, options.turns, result);
    result.tasks = score_tasks(model, tokenizer, tasks, exit_case, options.compute_dtype);
    study.results.push_back(std::move(result));
    auto& added = study.results.back();
    const auto& all = study.results[first];
    added.flops_saved_share = 1.0 - added.flops_per_token / all.flops_per_token;
    if (added.flops_saved_share >= kFewestFlopsSaved) {
      added.share_returned = added.time_saved_share / added.flops_saved_share;
    }
    added.bpb_difference = describe_difference(
        resample_pairs(all.document_bpb, added.document_bpb, kExitSeed, kExitResamples));
  }
  mark_fronts(study);
  compare_exits(study);
  return study;
}

}  // namespace loopbank
