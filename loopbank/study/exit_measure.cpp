#include "loopbank/study/exit_measure.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ctime>
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
  return expected_forward_flops(config, length, mean_loops) - head +
         (static_cast<double>(run.counts.head_rows + run.counts.loops.head) * head +
          sum(run.counts.loops.late) * late_key_flops(config)) /
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

/// Medians over turns.
struct Turns {
  double of_all = 0.0;
  double of_rule = 0.0;
  double saved = 0.0;  // share
  double noise = 0.0;  // share that `all` saves against the `all` before it
};

/// @param of_all  one more than of_rule: before, between and behind those
Turns turns_of(const std::vector<ExitRun>& of_all, const std::vector<ExitRun>& of_rule,
               double ExitRun::*time) {
  std::vector<double> all, rule, saved, noise;
  for (const auto& run : of_all) {
    all.push_back(run.*time);
  }
  for (size_t turn = 0; turn < of_rule.size(); ++turn) {
    rule.push_back(of_rule[turn].*time);
    saved.push_back(1.0 - 2 * rule.back() / (all[turn] + all[turn + 1]));
    noise.push_back(1.0 - all[turn + 1] / all[turn]);
  }
  return {.of_all = median(all),
          .of_rule = median(rule),
          .saved = median(saved),
          .noise = median(noise)};
}

}  // namespace

std::vector<ExitCase> exit_cases(const std::vector<std::string>& rules,
                                 const ExitStudyOptions& options) {
  const auto policies = chosen_policies(options);
  std::vector<ExitCase> cases;
  for (const auto where : kExitPlaces) {
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
  const auto cpu_before = std::clock();
  while (!engine_.idle()) {
    for (const auto& scored : engine_.step().scored) {
      run.nats[document_of.at(scored.request)] -= scored.log_probability;
    }
  }
  run.seconds = watch.seconds();
  run.cpu_seconds = static_cast<double>(std::clock() - cpu_before) / CLOCKS_PER_SEC;
  run.counts = counts_between(before, engine_.counts());
  return run;
}

Request ExitMeasure::request(const ExitCase& exit_case, size_t d, const at::Tensor& logits) const {
  const auto& document = documents_[d];
  const auto prompt = document.tokens.begin() + document.prompt;
  Request request;
  if (exit_case.where == ExitWhere::kScoring) {
    request = Request::scoring(document.tokens, document.prompt);
  } else {
    request.prompt.assign(document.tokens.begin(), prompt);
    request.forced.assign(prompt, document.tokens.end());
  }
  request.inference.exit = ExitChoice::parse(exit_case.rule);
  request.inference.policy = exit_case.policy;
  request.inference.policy_in_prompt = exit_case.where != ExitWhere::kDecode;
  if (logits.defined()) {
    request.keep_logits(logits.data_ptr<float>() + offsets_[d] * model_.config().vocab_size,
                        document.prompt);
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
  if (options_.turns < 1) {
    return;
  }
  const ExitCase all{"all", &key_value_policy("full"), exit_case.where};
  std::vector<ExitRun> of_all, of_rule;
  of_all.push_back(run(all, timed()));
  for (int64_t turn = 0; turn < options_.turns; ++turn) {
    of_rule.push_back(run(exit_case, timed()));
    of_all.push_back(run(all, timed()));
  }
  const auto seconds = turns_of(of_all, of_rule, &ExitRun::seconds);
  result.seconds = seconds.of_rule;
  result.seconds_of_all = seconds.of_all;
  result.time_saved_share = seconds.saved;
  result.noise_share = seconds.noise;
  const auto cpu = turns_of(of_all, of_rule, &ExitRun::cpu_seconds);
  result.cpu_saved_share = cpu.saved;
  result.cpu_noise_share = cpu.noise;
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
