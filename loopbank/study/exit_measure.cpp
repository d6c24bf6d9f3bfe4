#include "loopbank/study/exit_measure.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <map>
#include <numbers>
#include <numeric>
#include <utility>

#include "loopbank/model/cost.h"
#include "loopbank/support/stopwatch.h"

namespace loopbank {
namespace {

EngineCounts counts_between(const EngineCounts& before, const EngineCounts& after) {
  auto counts = after;
  counts.tokens -= before.tokens;
  counts.head_rows -= before.head_rows;
  counts.loops.head -= before.loops.head;
  for (size_t l = 0; l < counts.loops.run.size(); ++l) {
    counts.loops.run[l] -= before.loops.run[l];
    counts.loops.late[l] -= before.loops.late[l];
  }
  return counts;
}

/// FLOPs of a token read: the loops that ran, keys and values made late, the head where it was
/// asked, by exit rules too.
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
         (static_cast<double>(run.counts.head_rows + run.counts.loops.head) * head +
          sum(run.counts.loops.late) * late) /
             tokens;
}

/// `full` first, each once.
std::vector<const KeyValuePolicy*> chosen_policies(const ExitStudyOptions& options) {
  std::vector<const KeyValuePolicy*> chosen = {&key_value_policy("full")};
  for (const auto& name : options.policies) {
    chosen.push_back(&key_value_policy(name, "--policies"));
  }
  if (options.policies.empty()) {
    chosen = key_value_policies();
  }
  std::vector<const KeyValuePolicy*> once;
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

}  // namespace

std::vector<ExitCase> exit_cases(const std::vector<std::string>& rules,
                                 const ExitStudyOptions& options) {
  const auto policies = chosen_policies(options);
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

ExitMeasure::ExitMeasure(const LanguageModel& model, const std::vector<ExitDocument>& documents,
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

size_t ExitMeasure::timed() const {
  return std::min(documents_.size(), static_cast<size_t>(options_.timed_documents));
}

ExitRun ExitMeasure::run(const ExitCase& exit_case, size_t num_documents, at::Tensor logits) {
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

Request ExitMeasure::request(const ExitCase& exit_case, size_t d, const at::Tensor& logits) const {
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

ExitResult ExitMeasure::describe(const ExitCase& exit_case, const ExitRun& run) const {
  ExitResult result{.rule = exit_case.rule,
                    .hard = ExitChoice::parse(exit_case.rule).is_hard(),
                    .kv = std::string(exit_case.policy->name()),
                    .where = exit_case.where};
  for (const auto loops : run.counts.loops.run) {
    result.mean_loops_by_layer.push_back(static_cast<double>(loops) /
                                         static_cast<double>(run.counts.tokens));
  }
  const auto value_bytes = options_.compute_dtype == at::kBFloat16 ? 2 : 4;
  result.mean_loops = mean_of(result.mean_loops_by_layer);
  result.flops_per_token = flops_of(model_.config(), run);
  result.kv_bytes_per_token = key_value_bytes(model_.config(), *exit_case.policy, value_bytes);
  return result;
}

void ExitMeasure::time(const ExitCase& exit_case, ExitResult& result) {
  const ExitCase all{"all", &key_value_policy("full"), exit_case.where};
  std::vector<double> of_all = {run(all, timed()).seconds};
  std::vector<double> of_rule, saved, noise;
  for (int64_t turn = 0; turn < options_.turns; ++turn) {
    const double before = of_all.back();
    of_rule.push_back(run(exit_case, timed()).seconds);
    of_all.push_back(run(all, timed()).seconds);
    saved.push_back(1.0 - 2 * of_rule.back() / (before + of_all.back()));
    noise.push_back(1.0 - of_all.back() / before);
  }
  result.seconds = median(of_rule);
  result.seconds_of_all = median(of_all);
  result.time_saved_share = median(saved);
  result.noise_share = median(noise);
}

std::vector<double> ExitMeasure::document_bpb(const ExitRun& run) const {
  const double scale = std::numbers::ln2 * bytes_ / static_cast<double>(documents_.size());
  std::vector<double> values;
  for (const double nats : run.nats) {
    values.push_back(nats / scale);
  }
  return values;
}

}  // namespace loopbank
