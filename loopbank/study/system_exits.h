#pragma once
/// What stopping early costs a system over its seeds, and what it saves.
///
///     exits.json of each seed -> rule x policy   bits per byte against all loops, FLOPs and time saved
///                             -> gate            cdf against change where their FLOPs are equal
///                             -> questions       the chosen rule's scores against all loops'
///
/// Rules of a name are one row, though each seed has a threshold of its own. What differs is compared
/// and judged as systems are (verdict.h), each comparison by itself: over seeds from two on; of one seed
/// the interval is over its rows of text, or its questions, and nothing is told apart. Not here: the measuring (run_exits.h), sentences (answers_exits.cpp).

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/study/columns.h"
#include "loopbank/study/run_exits.h"
#include "loopbank/study/verdict.h"

namespace loopbank {

/// A rule under a policy, means over the seeds.
struct ExitSummary {
  std::string name;  ///< as RunExit::name
  std::string kv;
  std::string where;
  std::vector<std::string> rules = {};  ///< by seed, as --exit takes them
  double mean_loops = 0.0;
  double flops_per_token = 0.0;
  std::vector<double> flops_saved_by_seed = {};
  std::vector<double> time_saved_by_seed = {};  ///< empty where the time was not measured
  SystemComparison bpb = {};                    ///< under the rule against all loops with `full`

  /// The rule itself where one seed was measured, else its name.
  [[nodiscard]] const std::string& label() const { return rules.size() == 1 ? rules[0] : name; }
  [[nodiscard]] double flops_saved() const;
  [[nodiscard]] double time_saved() const;  ///< 0 where it was not measured
};

/// The trained gate against the rule that needs none, at the same share of loops.
struct GateComparison {
  std::string gate;     ///< `cdf 1/2`
  std::string without;  ///< `change 1/2`
  std::string where;
  double flops = 0.0;  ///< of the gate, a token
  double flops_without = 0.0;
  SystemComparison bpb = {};  ///< of the gate against without
};

/// The rule that a seed chose on its text.
struct ChosenExit {
  std::string rule;
  double flops_saved = 0.0;
  double time_saved = 0.0;
};

struct SystemExits {
  std::vector<int64_t> seeds = {};
  int64_t rows = 0;           ///< of validation text, a seed
  int64_t scored_tokens = 0;  ///< a seed
  std::vector<ExitSummary> results = {};
  std::vector<GateComparison> gate = {};
  std::vector<ChosenExit> chosen = {};                     ///< by seed
  std::map<std::string, SystemComparison> questions = {};  ///< by column: chosen against all loops

  /// Null where it was not measured.
  [[nodiscard]] const ExitSummary* find(const std::string& name, const std::string& kv,
                                        const std::string& where) const;
};

/// One measured run.
struct RunExitsAt {
  RunExits exits;
  std::filesystem::path folder;  ///< that holds scores/ and scores-early/
};

/// @param runs  at least one, a seed each; rules that not every seed has are left out
/// @throws Error kData as compare_runs
[[nodiscard]] SystemExits summarize_exits(const std::vector<RunExitsAt>& runs,
                                          const std::vector<Column>& columns);

/// The result of a place under `full` that saves most FLOPs, or most time, among those whose bits per
/// byte are at most a share above those of all loops; `all` itself where none saves, null where the
/// place was not measured.
/// @param saved  &ExitSummary::flops_saved or &ExitSummary::time_saved
[[nodiscard]] const ExitSummary* most_saved(const SystemExits& exits, const std::string& where,
                                            double share, double (ExitSummary::*saved)() const);

/// Whether its bits per byte are clearly less than a share above those of all loops: the verdict of
/// the comparison with all loops' bits per byte times 1 + share.
[[nodiscard]] bool is_clearly_within(const ExitSummary& exit, double share);

/// Half of the 95 % interval of a mean over seeds (Student's t); nothing for one seed.
[[nodiscard]] std::optional<double> half_interval(const std::vector<double>& by_seed);

/// The "exits" object of docs/formats.md.
[[nodiscard]] nlohmann::ordered_json to_json(const SystemExits& exits);
/// Verdicts are judged anew; questions without a column are left out.
/// @throws Error kData for an object of another form; `where` names it
[[nodiscard]] SystemExits system_exits_from_json(const nlohmann::ordered_json& json,
                                                 const std::vector<Column>& columns,
                                                 const std::string& where);

}  // namespace loopbank
