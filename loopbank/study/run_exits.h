#pragma once
/// What stopping early costs one trained run, and what it saves: a small measurement on rows of its
/// validation text, the file exits.json of its folder.
///
///     validation rows -> rules under `full`     bits per byte, FLOPs and seconds, scoring and decoding
///                     -> one rule under `copy` and `first`
///     questions       -> the cheapest rule within half a percent of the text's bits per byte
///
/// Rules: a budget of loops, the trained gate (cdf) and a rule that needs none (change), the last two
/// with thresholds that make both run the same loops; softly. The rule is chosen on the text and
/// scored on the study's questions, which had no say in the choice. How many tokens are read grows
/// with the training, of whose time measuring takes some 7 %. Not here: every rule and
/// policy of a model (exit_study.h), what several seeds say together (system_exits.h).

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/data/token_source.h"
#include "loopbank/eval/task.h"
#include "loopbank/model/language_model.h"
#include "loopbank/tokenize/tokenizer.h"
#include "loopbank/train/run_config.h"

namespace loopbank {

/// Bits per byte that count as equal, and those that a choice may cost: shares above all loops'.
inline constexpr double kEqualShare = 0.001;
inline constexpr double kCloseShare = 0.005;

/// A rule under a policy.
struct RunExit {
  /// `all`, `budget 2`, `cdf 1/2`: the kind of rule and which part of the loops behind the first
  /// its threshold was set to run; the same in every seed.
  std::string name;
  std::string rule;   ///< as --exit takes it, with the seed's own threshold
  std::string kv;     ///< full | copy | first
  std::string where;  ///< scoring | decode | everywhere
  double bpb = 0.0;
  double mean_loops = 0.0;  ///< run, mean over layers and tokens
  double flops_per_token = 0.0;
  double flops_saved = 0.0;               ///< share of those of all loops
  std::optional<double> time_saved = {};  ///< likewise of the seconds; under `full` alone
  double top1_agreement = 1.0;
  /// Bits of each row over the bytes of a mean one, under this rule and with all loops.
  std::vector<double> row_bpb = {};
  std::vector<double> row_bpb_of_all = {};
};

struct RunExits {
  int64_t seed = 0;
  int64_t rows = 0;           ///< of validation text
  int64_t scored_tokens = 0;  ///< of these
  std::vector<RunExit> results = {};
  /// Of `scoring` under `full`, the rule that saves most FLOPs within kCloseShare; `all` where none
  /// does.
  std::string chosen = "all";
  double chosen_flops_saved = 0.0;
  double chosen_time_saved = 0.0;

  /// Null where it was not measured.
  [[nodiscard]] const RunExit* find(const std::string& name, const std::string& kv,
                                    const std::string& where) const;
};

/// How much is read.
struct RunExitsSize {
  int64_t row_tokens = 128;     ///< T
  int64_t scored_tokens = 512;  ///< three quarters of the tokens read
  int64_t timed_rows = 2;
  at::ScalarType compute_dtype = at::kFloat;
};

/// A run's size: one scored token for every kTrainedTokensOfScored that it was trained on, at most
/// its validation rows and 512 MB of logits.
[[nodiscard]] RunExitsSize exits_size_of(const RunConfig& run);

/// Rules and policies on validation rows; without questions.
/// @param validation  at least one row of text
/// @param should_stop  asked between the rules and the policies; may be empty
/// @return nothing where it was stopped
/// @throws Error kConfig for a model without layers of two loops or more
[[nodiscard]] std::optional<RunExits> measure_run_exits(
    const LanguageModel& model, const Tokenizer& tokenizer,
    const std::shared_ptr<const TokenSource>& validation, const RunExitsSize& size,
    const std::function<bool()>& should_stop);

/// Whether the run's model has loops to leave early.
[[nodiscard]] bool has_exits(const RunConfig& run);

/// Measures a trained run on the CPU and writes exits.json of its folder, and the scores of the
/// chosen rule to scores-early/ beside its scores/; nothing to do where exits.json exists.
/// @return false where it was stopped; then exits.json is not there
/// @throws Error kCheckpoint, kData as load_inference_model and open_run_data
bool ensure_exits(const RunConfig& run, const std::vector<Task>& tasks,
                  const std::filesystem::path& folder, const std::function<bool()>& should_stop);

/// exits.json as it stands; nothing where there is none.
/// @throws Error kData for a file of another form
[[nodiscard]] std::optional<RunExits> read_exits(const std::filesystem::path& folder);

/// Where the questions' scores under the chosen rule are: scores-early/, or scores/ for `all`.
[[nodiscard]] std::filesystem::path early_scores(const RunExits& exits,
                                                 const std::filesystem::path& folder);

/// Seconds of measure_run_exits and of scoring under the chosen rule, from a row.
/// @param scoring_seconds  of all questions with all loops
[[nodiscard]] double estimate_exits_seconds(const LanguageModel& model, const Tokenizer& tokenizer,
                                            const std::shared_ptr<const TokenSource>& validation,
                                            const RunConfig& run, double scoring_seconds);

}  // namespace loopbank
