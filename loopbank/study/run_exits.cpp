#include "loopbank/study/run_exits.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "loopbank/data/sampler.h"
#include "loopbank/dissect/text_rows.h"
#include "loopbank/eval/evaluate.h"
#include "loopbank/eval/result_files.h"
#include "loopbank/infer/engine.h"
#include "loopbank/infer/inference_model.h"
#include "loopbank/study/exit_grid.h"
#include "loopbank/study/exit_study.h"
#include "loopbank/support/files.h"
#include "loopbank/support/json_members.h"
#include "loopbank/support/stopwatch.h"
#include "loopbank/train/run_data.h"
#include "loopbank/train/validation.h"

namespace loopbank {
namespace {

// Measuring then took 7 % of what training took, Loop-3 of the demo, and the more the shorter the
// run is.
constexpr int64_t kTrainedTokensOfScored = 1024;
constexpr int64_t kFewestScored = 384;
constexpr int64_t kMostScored = 8192;
constexpr int64_t kLogitsBytes = int64_t{512} << 20;  // of the two that measure_exits holds
constexpr int64_t kPromptQuarter = 4;                 // the share of a row that is not scored
constexpr int64_t kTimedTurns = 2;
constexpr int64_t kRowsOfThresholds = 4;  // that thresholds are sought on
constexpr int kTrials = 8;                // of thresholds
constexpr double kNearShare = 0.02;       // of a share, that counts as reached
constexpr double kReachedShare = 0.08;    // that is still called so

const MembersForm kExitsForm = {.expected = "what stopping early costs a run",
                                .remedy = "Remove the file to measure it anew.",
                                .all = true};

/// A share of the loops behind the first.
struct LoopShare {
  const char* name;
  double share;
};
constexpr std::array kLoopShares = {LoopShare{"3/4", 0.75}, LoopShare{"1/2", 0.5},
                                    LoopShare{"1/4", 0.25}};
constexpr size_t kShareOfPolicies = 1;  // the gate's, under the other policies

constexpr std::array kThresholdKinds = {"cdf", "change"};  // by the gate, and without it

struct NamedRule {
  std::string name;
  std::string rule;
};

/// The first rows of the validation text, each with its first quarter as the prompt.
std::vector<ExitDocument> rows_to_score(const std::shared_ptr<const TokenSource>& validation,
                                        const Tokenizer& tokenizer, const RunExitsSize& size) {
  const SequentialRows rows(validation, size.row_tokens);
  const auto length = rows.sequence_length();
  const auto prompt = std::max<int64_t>(1, length / kPromptQuarter);
  const auto scored = length + 1 - prompt;
  const auto count =
      std::clamp<int64_t>((size.scored_tokens + scored - 1) / scored, 1, rows.num_rows());
  const auto batch = rows.rows(0, count);
  const auto bytes_of = bytes_of_tokens(tokenizer);
  std::vector<ExitDocument> documents;
  for (int64_t r = 0; r < count; ++r) {
    ExitDocument document{.tokens = text_of_row(batch, r), .prompt = prompt};
    for (auto at = prompt; at <= length; ++at) {
      document.bytes +=
          bytes_of[static_cast<int64_t>(document.tokens[static_cast<size_t>(at)])].item<int64_t>();
    }
    document.bytes = std::max<int64_t>(1, document.bytes);
    documents.push_back(std::move(document));
  }
  return documents;
}

/// Loops that rules run on a few rows, mean over layers and tokens.
class LoopsOfRules {
 public:
  LoopsOfRules(const LanguageModel& model, const std::vector<ExitDocument>& rows,
               at::ScalarType compute_dtype)
      : rows_(rows),
        layers_(static_cast<double>(model.config().num_hidden_layers)),
        engine_(model, {.compute_dtype = compute_dtype, .share_beginnings = false}) {}

  double of(const std::string& rule) {
    const auto before = ran();
    const auto tokens = engine_.counts().tokens;
    const auto count = std::min(rows_.size(), static_cast<size_t>(kRowsOfThresholds));
    for (size_t r = 0; r < count; ++r) {
      Request request{.prompt = rows_[r].tokens, .max_tokens = 0};
      request.inference.exit = ExitChoice::parse(rule);
      request.inference.policy_in_prompt = true;
      engine_.add(std::move(request));
    }
    while (!engine_.idle()) {
      (void)engine_.step();
    }
    return (ran() - before) / (static_cast<double>(engine_.counts().tokens - tokens) * layers_);
  }

 private:
  [[nodiscard]] double ran() const {
    const auto& run = engine_.counts().loops.run;
    return static_cast<double>(std::accumulate(run.begin(), run.end(), int64_t{0}));
  }

  const std::vector<ExitDocument>& rows_;
  double layers_;
  Engine engine_;
};

/// All loops, a budget of half of those behind the first and one of none, then the thresholds.
std::vector<NamedRule> rules_to_measure(const ModelConfig& config, LoopsOfRules& loops_of) {
  const double num_loops = config.mean_loops();
  std::vector<NamedRule> rules = {{"all", "all"}};
  const auto most = config.most_loops();
  const auto half = 1 + most / 2;
  for (const auto budget : {half, int64_t{1}}) {
    if (budget < most) {
      rules.push_back({fmt::format("budget {}", budget), fmt::format("budget:{}", budget)});
    }
  }
  const ThresholdSearch search = {.trials = kTrials,
                                  .near = kNearShare * (num_loops - 1),
                                  .reached = kReachedShare * (num_loops - 1)};
  for (const auto* kind : kThresholdKinds) {
    std::map<double, double> tried;
    for (const auto& share : kLoopShares) {
      const auto rule = rule_that_runs(
          kind, 1 + share.share * (num_loops - 1), search,
          [&](const std::string& one) { return loops_of.of(one); }, tried);
      if (!rule.empty()) {
        rules.push_back({fmt::format("{} {}", kind, share.name), rule});
      }
    }
  }
  return rules;
}

/// Adds what was measured of rules that have names; results known from before are left out.
void take_results(const ExitStudy& study, const std::vector<NamedRule>& rules, bool timed,
                  RunExits& exits) {
  const ExitResult* all = nullptr;
  for (const auto& result : study.results) {
    const bool is_reference = result.rule == "all" && result.kv == "full";
    all = is_reference ? &result : all;
    const auto rule = std::find_if(rules.begin(), rules.end(),
                                   [&](const auto& named) { return named.rule == result.rule; });
    const auto where = std::string(name_of(result.where));
    if (rule == rules.end() || exits.find(rule->name, result.kv, where) != nullptr) {
      continue;
    }
    exits.results.push_back({.name = rule->name,
                             .rule = result.rule,
                             .kv = result.kv,
                             .where = where,
                             .bpb = result.bpb,
                             .mean_loops = result.mean_loops,
                             .flops_per_token = result.flops_per_token,
                             .flops_saved = result.flops_saved_share,
                             .top1_agreement = result.top1_agreement,
                             .row_bpb = result.document_bpb,
                             .row_bpb_of_all = all->document_bpb});
    if (timed) {
      exits.results.back().time_saved = is_reference ? 0.0 : result.time_saved_share;
    }
  }
}

void choose_rule(RunExits& exits) {
  const auto* all = exits.find("all", "full", "scoring");
  for (const auto& result : exits.results) {
    if (result.where == "scoring" && result.kv == "full" &&
        result.bpb <= (1 + kCloseShare) * all->bpb &&
        result.flops_saved > exits.chosen_flops_saved) {
      exits.chosen = result.rule;
      exits.chosen_flops_saved = result.flops_saved;
      exits.chosen_time_saved = result.time_saved.value_or(0.0);
    }
  }
}

/// The questions under the chosen rule, in the number type of their scores with all loops.
EvalReport score_early(const InferenceModel& loaded, const RunConfig& run,
                       const std::vector<Task>& tasks, const std::string& rule) {
  EvalOptions options;
  options.compute_dtype = run.training.forward_options().compute_dtype;
  options.inference.exit = ExitChoice::parse(rule);
  options.inference.policy_in_prompt = true;
  return evaluate(loaded.model, loaded.tokenizer, tasks, options);
}

bool asked(const std::function<bool()>& should_stop) {
  return should_stop && should_stop();
}

}  // namespace

void members(auto& by, Either<RunExit> auto& result) {
  by("name", result.name);
  by("rule", result.rule);
  by("kv", result.kv);
  by("where", result.where);
  by("bpb", result.bpb);
  by("mean_loops", result.mean_loops);
  by("flops_per_token", result.flops_per_token);
  by("flops_saved_share", result.flops_saved);
  by("time_saved_share", result.time_saved);
  by("top1_agreement", result.top1_agreement);
  by("row_bpb", result.row_bpb);
  by("row_bpb_of_all", result.row_bpb_of_all);
}

void members(auto& by, Either<RunExits> auto& exits) {
  by("seed", exits.seed);
  by("rows", exits.rows);
  by("scored_tokens", exits.scored_tokens);
  by.list("results", exits.results);
  by("chosen", exits.chosen);
  by("chosen_flops_saved_share", exits.chosen_flops_saved);
  by("chosen_time_saved_share", exits.chosen_time_saved);
}

const RunExit* RunExits::find(const std::string& name, const std::string& kv,
                              const std::string& where) const {
  const auto found = std::find_if(results.begin(), results.end(), [&](const RunExit& result) {
    return result.name == name && result.kv == kv && result.where == where;
  });
  return found == results.end() ? nullptr : &*found;
}

RunExitsSize exits_size_of(const RunConfig& run) {
  const auto& training = run.training;
  const auto trained = training.steps * training.batch * training.sequence_length;
  const auto most =
      std::min(kMostScored, kLogitsBytes / (2 * 4 * static_cast<int64_t>(run.model.vocab_size)));
  return {
      .row_tokens = training.sequence_length,
      .scored_tokens = std::min(most, std::max(kFewestScored, trained / kTrainedTokensOfScored)),
      .compute_dtype = training.forward_options().compute_dtype};
}

bool has_exits(const RunConfig& run) {
  return run.model.most_loops() > 1;
}

std::optional<RunExits> measure_run_exits(const LanguageModel& model, const Tokenizer& tokenizer,
                                          const std::shared_ptr<const TokenSource>& validation,
                                          const RunExitsSize& size,
                                          const std::function<bool()>& should_stop) {
  const at::NoGradGuard no_grad;
  const auto rows = rows_to_score(validation, tokenizer, size);
  LoopsOfRules loops_of(model, rows, size.compute_dtype);
  const auto rules = rules_to_measure(model.config(), loops_of);
  ExitStudyOptions options{.compute_dtype = size.compute_dtype,
                           .timed_documents = size.timed_rows,
                           .turns = kTimedTurns,
                           .policies = {"full"}};
  for (const auto& rule : rules) {
    options.rules.push_back(rule.rule);
  }
  RunExits exits{.rows = std::ssize(rows)};
  const auto study = measure_exits(model, tokenizer, rows, {}, options);
  exits.scored_tokens = study.scored_tokens;
  take_results(study, rules, /*timed=*/true, exits);
  choose_rule(exits);
  if (asked(should_stop)) {
    return std::nullopt;
  }
  const auto gate = std::find_if(rules.begin(), rules.end(), [](const auto& rule) {
    return rule.name == fmt::format("cdf {}", kLoopShares[kShareOfPolicies].name);
  });
  options.rules = {gate == rules.end() ? "all" : gate->rule};
  options.policies = {"copy", "first"};
  options.turns = 0;  // without times
  options.measured = study.results;
  take_results(measure_exits(model, tokenizer, rows, {}, options), rules, /*timed=*/false, exits);
  return exits;
}

bool ensure_exits(const RunConfig& run, const std::vector<Task>& tasks,
                  const std::filesystem::path& folder, const std::function<bool()>& should_stop) {
  const auto path = folder / "exits.json";
  if (!has_exits(run) || std::filesystem::exists(path)) {
    return true;
  }
  const auto data = open_run_data(run);
  if (!data.validation) {
    return true;
  }
  const auto loaded = load_inference_model(folder);
  auto exits = measure_run_exits(loaded.model, loaded.tokenizer, data.validation,
                                 exits_size_of(run), should_stop);
  if (!exits || asked(should_stop)) {
    return false;
  }
  exits->seed = run.training.seed;
  if (exits->chosen != "all") {
    write_results(score_early(loaded, run, tasks, exits->chosen), folder / "scores-early");
  }
  write_file_atomically(path, JsonWriter::write(*exits).dump() + "\n");
  return true;
}

std::optional<RunExits> read_exits(const std::filesystem::path& folder) {
  return read_members_file<RunExits>(folder / "exits.json", kExitsForm);
}

std::filesystem::path early_scores(const RunExits& exits, const std::filesystem::path& folder) {
  return folder / (exits.chosen == "all" ? "scores" : "scores-early");
}

double estimate_exits_seconds(const LanguageModel& model, const Tokenizer& tokenizer,
                              const std::shared_ptr<const TokenSource>& validation,
                              const RunConfig& run, double scoring_seconds) {
  if (!has_exits(run) || !validation) {
    return 0.0;
  }
  const auto size = exits_size_of(run);
  auto sample = size;
  sample.scored_tokens = 1;  // a row
  sample.timed_rows = 1;
  const Stopwatch watch;
  (void)measure_run_exits(model, tokenizer, validation, sample, {});
  // A rule's passes over one row: one that is scored, and the turns of it and of all loops.
  const double seconds = watch.seconds() / static_cast<double>(1 + 2 * kTimedTurns);
  const auto rows = static_cast<double>(size.scored_tokens) * kPromptQuarter /
                    static_cast<double>((kPromptQuarter - 1) * size.row_tokens);
  return seconds * (std::ceil(rows) + static_cast<double>(2 * kTimedTurns * size.timed_rows)) +
         scoring_seconds;
}

}  // namespace loopbank
