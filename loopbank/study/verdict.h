#pragma once
/// One system against another in one column, and the one rule of verdict.
///
///     one seed     decisive = the paired bootstrap over its questions
///     more seeds   decisive = Student's paired t over the seeds, unless that is sure and the
///                             questions of all seeds are not: then the bootstrap over these
///     verdict      better or worse where the 95 % interval of `decisive` leaves out 0,
///                  else too near to tell
///
/// Over seeds, because a claim is about systems: a seed gives both the same world, order of the data
/// and questions, and what differs between seeds (initial values, data, questions) is what another
/// run would differ by. The questions have a say because seeds are few: two that agree by accident,
/// such as in accuracies that differ by one and the same number of questions, have an interval of
/// zero width. The questions of one seed tell of these two sets of weights alone, and whoever shows
/// such a verdict says so. Rejected: the hierarchical bootstrap, whose interval is too narrow for
/// three seeds.
///
/// The paper's findings, the answers, the marks of the table and the bars of its figures read
/// SystemComparison::verdict and `decisive`, and compute nothing of the kind themselves.

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/support/statistics.h"

namespace loopbank {

enum class Verdict { kBetter, kWorse, kOpen };
/// `better`, `worse`, `too near to tell`.
[[nodiscard]] std::string_view name_of(Verdict verdict);

/// Which two systems, by name, and in which column, by key.
struct ComparedPair {
  std::string system;
  std::string other;
  std::string column;
  auto operator<=>(const ComparedPair&) const = default;
};

struct SystemComparison {
  double here = 0.0;                     ///< score of the system, mean over the common seeds
  double there = 0.0;                    ///< score of the other
  Difference questions = {};             ///< here - there over the questions of all common seeds
  std::optional<Difference> seeds = {};  ///< over the common seeds, from two on
  int64_t num_seeds = 0;                 ///< that are common
  bool estimated = false;                ///< `questions` is of standard errors, as if independent
  Difference decisive = {};              ///< one of the two above, by the rule
  bool over_seeds = false;               ///< `decisive` is `seeds`
  Verdict verdict = Verdict::kOpen;

  /// (here - there) / there.
  [[nodiscard]] double relative() const { return there == 0 ? 0.0 : here / there - 1; }
};

/// Fills in `decisive`, `over_seeds` and `verdict`; the only place that does.
void judge(SystemComparison& comparison, bool lower_is_better);

/// b - a of each seed over its questions, as judged: over the questions of all seeds, and over seeds.
[[nodiscard]] SystemComparison compare_seeds(const std::vector<Resampled>& seeds,
                                             bool lower_is_better);

/// ` over seeds` or ` over questions`: what the decisive interval is of; empty for one seed.
[[nodiscard]] std::string_view interval_source(const SystemComparison& comparison);

/// `1.690 against 2.160, -21.8 % (95 % interval of the difference over seeds -0.500 to -0.400)`:
/// the decisive interval.
[[nodiscard]] std::string describe(const SystemComparison& comparison);

}  // namespace loopbank
