#pragma once
/// What a study measured: the one model of it. The runner fills it; the table, the claims, the
/// answers, the figures and the page read it.
///
///     StudyResult
///       PartResult            one kind of data                    embedded benchmark | text
///         columns             what the table has a column for
///         systems             a row each: sizes, costs, means over seeds, curves, a look inside
///         comparisons         system against system in a column, each judged once (verdict.h)
///         claims              the paper's findings, each by one of the comparisons
///
/// What was not measured is absent, an empty list or map. Below the types: how runs become a row of
/// them. Not here: results.json (results_json.h), the comparisons' making (comparison.h).

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/dissect/inside.h"
#include "loopbank/dissect/thinking.h"
#include "loopbank/study/columns.h"
#include "loopbank/study/noise.h"
#include "loopbank/study/run_alarm.h"
#include "loopbank/study/run_result.h"
#include "loopbank/study/score_curve.h"
#include "loopbank/study/system_exits.h"
#include "loopbank/study/systems.h"
#include "loopbank/study/time_plan.h"
#include "loopbank/study/verdict.h"

namespace loopbank {

/// A score over seeds.
struct ScoreSummary {
  double mean = 0.0;
  /// Standard deviation over seeds, with n - 1; none for one seed.
  std::optional<double> spread = {};
  /// Over the questions of one seed: root mean square of the seeds'.
  std::optional<double> error = {};
  std::vector<double> by_seed = {};  ///< in the order of the system's seeds

  /// What a bar at the score shows.
  [[nodiscard]] std::optional<double> bar() const { return spread ? spread : error; }
};

/// A task's scores, means over the seeds.
struct TaskSummary {
  std::string task;
  double accuracy = 0.0;
  double bpb = 0.0;
  int64_t instances = 0;
};

/// How far a derived baseline is off what it matches: (its own - target) / target.
struct MatchResidual {
  std::string system;  ///< that it matches
  std::string by;      ///< parameters | flops | time
  double parameters = 0.0;
  double flops = 0.0;
  std::optional<double> seconds = {};  ///< of training, where both are done
};

/// One system over all seeds that are done.
struct SystemResult {
  std::string name;
  std::string label;
  std::string group;   ///< paper | grid | ponder | router | start | own
  std::string family;  ///< dense | loops | memory
  int64_t layers = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t loops = 0;  ///< most of a layer; 0: dense
  int64_t local_slots = 0;
  int64_t global_slots = 0;
  double ponder_weight = 0.0;
  double router_bias = 0.0;      ///< initial
  double loop_scale_init = 0.0;  ///< alpha, before the softplus
  double parameters = 0.0;
  std::optional<double> embedding_parameters = {};  ///< of these: embedding and head
  double forward_flops = 0.0;                       ///< a token
  double training_flops = 0.0;                      ///< a token
  double expected_flops = 0.0;  ///< a token, forward, with the mean loops in place of N
  std::vector<double> expected_flops_by_seed = {};
  double tokens_per_second = 0.0;
  double seconds = 0.0;
  double evaluation_seconds = 0.0;
  int64_t steps = 0;
  double tokens = 0.0;
  double mean_loops = 1.0;
  std::optional<double> mean_loops_spread = {};
  double validation_loss = 0.0;
  double validation_bpb = 0.0;
  std::vector<int64_t> seeds = {};                  ///< that are done
  std::map<std::string, ScoreSummary> scores = {};  ///< by column
  std::vector<TaskSummary> tasks = {};
  std::vector<DifficultyScore> difficulty = {};  ///< over all seeds' problems
  PaperScores paper = {};                        ///< empty outside the paper's ten
  std::optional<MatchResidual> matches = {};
  std::vector<TrainingCurve> curves = {};     ///< one a seed
  std::optional<Inside> inside = {};          ///< of the smallest seed that has one
  std::optional<SystemExits> exits = {};      ///< over the seeds that have them
  std::vector<ScoreCurve> score_curves = {};  ///< one a seed, where they were measured
  std::vector<LoopsAgainstSteps> thinking =
      {};                                   ///< one a task, over the seeds; of systems with loops
  std::vector<RunAlarm> alarms = {};        ///< of all seeds, in the order of seed and step
  std::vector<int64_t> watched_seeds = {};  ///< whose runs every alarm watched (was_watched)

  /// Of the paper's ten or one of the study's own; not part of a sweep.
  [[nodiscard]] bool is_single() const { return group == "paper" || group == "own"; }
  /// Null where there is none.
  [[nodiscard]] const ScoreSummary* score(const Column& column) const;
  /// Nothing where the paper reports none.
  [[nodiscard]] std::optional<double> paper_score(const Column& column) const;
};

/// A finding of the paper or of the literature on loops; whether it came out says the comparison of its two systems.
struct Claim {
  int question = 0;  ///< RQ1 to RQ4
  std::string text;
  std::string column;  ///< key
  std::string better;  ///< systems
  std::string worse;
  double ours = 0.0;                 ///< relative change of `better` against `worse`
  std::optional<double> paper = {};  ///< likewise; nothing where it gives no number
  std::string source = {};  ///< of the finding, such as "Saunshi et al. 2025"; empty: the paper
};

/// Of a claim's comparison: `as in the paper`, `against the paper`, `not told apart`.
[[nodiscard]] std::string_view claim_verdict(Verdict verdict);

struct PartResult {
  std::string name;  ///< benchmark | text
  std::string title;
  std::string init = {};  ///< folder of the model that all systems start from; empty: from none
  std::vector<int64_t> seeds = {};
  std::vector<Column> columns = {};
  std::vector<SystemResult> systems = {};  ///< in the table's order
  std::map<ComparedPair, SystemComparison> comparisons = {};
  std::vector<Claim> claims = {};
  SeedNoise noise = {};       ///< of earlier runs with these settings
  std::string settings = {};  ///< what all systems share, as TOML
  std::string data = {};      ///< what they were trained on and asked, as JSON

  /// Null where there is none of that name.
  [[nodiscard]] const SystemResult* find(std::string_view system) const;
  /// A system's label; its name where there is none of it.
  [[nodiscard]] std::string label_of(const std::string& system) const;
  /// Of the claim's two systems in its column.
  [[nodiscard]] const SystemComparison& comparison_of(const Claim& claim) const {
    return comparisons.at({claim.better, claim.worse, claim.column});
  }
  /// Null where the two were not compared in the column.
  [[nodiscard]] const SystemComparison* compared(const ComparedPair& pair) const;
};

struct StudyResult {
  std::string scale;
  std::string title;
  std::string command;  ///< that goes on with the study
  std::string date;     ///< of the last run
  std::string machine;
  int threads = 0;  ///< that computed a system
  bool finished = false;
  std::vector<PartResult> parts = {};
  std::optional<ChosenSteps> chosen_steps = {};  ///< of a study that is kept to a time
};

/// All runs of one system that are done, one a seed, in the order of the seeds.
struct SystemRuns {
  System system;
  std::vector<RunResult> runs;
  std::vector<std::filesystem::path> score_folders = {};  ///< one a run
};

/// The row of a system, but for its curves and its look inside.
/// @param runs  at least one
[[nodiscard]] SystemResult summarize(const SystemRuns& runs, const std::vector<Column>& columns);

/// Fills in how much longer the baselines of the part trained than what they match.
void add_seconds_residuals(PartResult& part);

}  // namespace loopbank
