#pragma once
/// What stopping early costs, and what it saves: a model's exit rules and policies of keys and
/// values on held-out documents, each against every loop.
///
///     documents -> all loops          logits of each scored token
///               -> rule x policy      bits per byte, KL to all, agreement, loops, FLOPs
///               -> both in turns      seconds of the same work
///
/// Each document's first quarter is a prompt and the rest is scored:
///
///     decode      the prompt is read in chunks, the rest token by token; the policy of keys and
///                 values holds behind the prompt alone
///     everywhere  the same, and the policy holds for the prompt too
///     scoring     all of it is read in chunks, as a task's questions are
///
/// With `full` the first two are the same and stand under `decode`; the other policies are measured
/// with all, cdf and change. The rule holds for every token read in all three, and FLOPs and seconds
/// are of all of them.
///
/// Models of one config that differ in their seeds are measured one by one and set together by
/// `combine_exits`: figures are means over them, and differences have an interval over documents
/// (of these weights) and one over seeds (of what another run would differ by).

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/eval/task.h"
#include "loopbank/infer/key_value_policy.h"
#include "loopbank/model/language_model.h"
#include "loopbank/study/verdict.h"
#include "loopbank/support/statistics.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

enum class ExitWhere { kDecode, kEverywhere, kScoring };
inline constexpr std::array kExitPlaces = {ExitWhere::kDecode, ExitWhere::kEverywhere,
                                           ExitWhere::kScoring};
/// `decode`, `everywhere`, `scoring`.
[[nodiscard]] std::string_view name_of(ExitWhere where);

/// A task's headline figure.
struct ExitTask {
  std::string task;
  double value = 0.0;
  PairedDifference difference = {};    ///< to `all`, over questions
  std::vector<double> questions = {};  ///< the value of each
};

/// A rule under a policy.
struct ExitResult {
  std::string rule;  ///< as --exit takes it
  bool hard = false;
  std::string kv;
  ExitWhere where = ExitWhere::kDecode;
  double bpb = 0.0;
  double kl = 0.0;              ///< to `all` with `full`, nats, mean over scored tokens
  double top1_agreement = 0.0;  ///< share of tokens whose most probable successor is the same
  double mean_loops = 0.0;      ///< run, mean over layers and tokens read
  std::vector<double> mean_loops_by_layer = {};
  double flops_per_token = 0.0;  ///< of the tokens read, as model/cost.h counts, exits included
  double seconds = 0.0;          ///< of the timed documents
  double seconds_of_all = 0.0;   ///< in turns with it
  int64_t kv_bytes_per_token = 0;
  double flops_saved_share = 0.0;
  double time_saved_share = 0.0;
  double noise_share = 0.0;  ///< the time that `all` saves against itself in the same turns
  /// Both of the processor's time, of all threads: other work on the machine moves it less.
  double cpu_saved_share = 0.0;
  double cpu_noise_share = 0.0;
  std::optional<double> share_returned = {};  ///< time saved / FLOPs saved, from 1 % of FLOPs on
  PairedDifference bpb_difference = {};       ///< to `all`, over documents
  std::optional<Difference> bpb_over_seeds = {};  ///< the same over models, from two on
  bool on_front_of_time = false;          ///< no other of the same place is as good and takes less
  bool on_front_of_flops = false;         ///< likewise of FLOPs
  std::vector<ExitTask> tasks = {};       ///< for `scoring`
  std::vector<double> document_bpb = {};  ///< nats of each, over the mean bytes of a document
  std::vector<ExitResult> by_model = {};  ///< of which this is the mean; empty for one model
};

struct ExitStudyOptions {
  at::ScalarType compute_dtype = at::kFloat;
  int64_t document_tokens = 256;  ///< T: of each document no more is read
  int64_t limit_tokens = 8192;    ///< scored; the logits [limit, V] are held in fp32
  int64_t timed_documents = 8;    ///< of which the seconds are; the first ones
  int64_t turns = 3;              ///< of `all` and the rule; the seconds are medians; 0: no times
  std::vector<std::string> rules = {};     ///< none: chosen by exit_grid.h
  std::vector<std::string> policies = {};  ///< none: all six
  /// Called before each row with the number done and their total.
  std::function<void(int64_t done, int64_t total)> on_progress = {};
  std::vector<ExitResult> measured = {};  ///< by an earlier call; taken as they are
  /// Called with each row that was not, once it is.
  std::function<void(const ExitResult& row)> on_result = {};
};

/// A document to be scored from its token `prompt` on.
struct ExitDocument {
  std::vector<TokenId> tokens;
  int64_t prompt = 1;
  int64_t bytes = 0;  ///< of the scored tokens, at least 1

  [[nodiscard]] int64_t num_scored() const { return static_cast<int64_t>(tokens.size()) - prompt; }
};

/// Documents of a text (data/text_reader.h), each from its beginning; those of fewer than 32 tokens
/// are left out.
/// @throws Error kData for a file that cannot be read or holds fewer than two such documents
[[nodiscard]] std::vector<ExitDocument> read_exit_documents(const std::filesystem::path& path,
                                                            const Tokenizer& tokenizer,
                                                            const ExitStudyOptions& options);

/// Two things that differ in one respect: what b - a says of the bits per byte.
///
///     gate     a by the trained gate (cdf, router), b by a rule without one, at equal FLOPs of each
///              model: between b's two nearest thresholds, one of them within 5 % of the FLOPs of
///              all; between two budgets however far apart
///     hard     a soft, b hard
///     prefill  a decode, b everywhere
struct ExitComparison {
  std::string question;
  ExitWhere where = ExitWhere::kDecode;
  std::string a, b;  ///< rules; their kinds where several are averaged
  double flops_a = 0.0;
  double flops_b = 0.0;
  PairedDifference bpb_difference;            ///< over documents
  std::optional<Difference> over_seeds = {};  ///< over models, from two on
  Verdict verdict = Verdict::kOpen;           ///< on b, by judged_difference
  std::string kv = "full";
  int64_t points = 1;  ///< pairs that it is the mean of
};

/// What the seconds are worth: `all` in turns with itself.
struct ExitNoise {
  ExitWhere where = ExitWhere::kDecode;
  int64_t rows = 0;             ///< in whose turns it was measured
  double median = 0.0;          ///< share of its time that `all` saves against itself
  double half_width = 0.0;      ///< which 95 of 100 rows do not exceed; of fewer than 20, none
  double cpu_half_width = 0.0;  ///< the same of the processor's time
};

struct ExitStudy {
  int64_t documents = 0;      ///< of each model where all have as many, else of all together
  int64_t scored_tokens = 0;  ///< likewise
  int64_t timed_documents = 0;
  std::vector<ExitResult> results = {};  ///< `all` with `full` is the first of each place
  std::vector<ExitComparison> comparisons = {};
  std::vector<ExitComparison> answers = {};  ///< their means by question, place, kinds and policy
  std::vector<ExitNoise> noise = {};         ///< of each place
  int64_t models = 1;
  bool counts_together = false;  ///< `documents` and `scored_tokens` are of all models together
};

/// The rules that `measure_exits` compares under these options: those asked for, or a grid found on
/// the timed documents; `all` is the first.
/// @throws Error as measure_exits
[[nodiscard]] std::vector<std::string> exit_rules_of(const LanguageModel& model,
                                                     const std::vector<ExitDocument>& documents,
                                                     const ExitStudyOptions& options);

/// Measures the grid.
/// @param tasks  scored under each rule of `scoring`; may be none
/// @throws Error kConfig for a rule, a policy or sizes out of range, and for a model without loops
[[nodiscard]] ExitStudy measure_exits(const LanguageModel& model, const Tokenizer& tokenizer,
                                      const std::vector<ExitDocument>& documents,
                                      const std::vector<Task>& tasks,
                                      const ExitStudyOptions& options);

/// The same measurement of several models as one: means, and intervals over documents and models.
/// A document weighs by its mean over the models where all have as many, else each for itself.
/// @param of_models  at least one, of the same rules, policies and places
/// @throws Error kShape where they are of others
[[nodiscard]] ExitStudy combine_exits(std::vector<ExitStudy> of_models);

/// The result of a place that saves most FLOPs, or most time, among those whose bits per byte are
/// at most a share above those of `all`; `all` itself where no rule that saves FLOPs is as near, null where
/// there is none.
[[nodiscard]] const ExitResult* most_saved(const ExitStudy& study, ExitWhere where, double share,
                                           double ExitResult::*saved);

/// The "exit" object of docs/formats.md.
[[nodiscard]] nlohmann::ordered_json to_json(const ExitStudy& study);
/// The rows, the fronts and the answers for people.
[[nodiscard]] std::string describe(const ExitStudy& study);

}  // namespace loopbank
