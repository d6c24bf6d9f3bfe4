#pragma once
/// One system against another in one column, and the one rule of verdict.
///
///     two seeds and more   p of a t test that holds the noise of seeds and of questions
///                          (support/mixed_model.h), adjusted by Holm for the tests of its family;
///                          better or worse where that is 0.05 at most
///     fewer                not told apart, whatever the questions say
///
/// Over seeds, because a claim is about systems: a seed gives both the same world, order of the data
/// and questions, and what differs between seeds (initial values, data, questions) is what another
/// run would differ by. The questions of one seed tell of two sets of weights alone; what is said
/// instead is how many seeds an effect of that size takes (study/power.h).
///
/// Families: the findings of a part together; all other comparisons of one column together
/// (comparison.h). Intervals are plain 95 % intervals of the difference, so that one may leave out 0
/// where the verdict, which knows of the other tests, is open.
///
/// The paper's findings, the answers, the marks of the table and the bars of its figures read
/// SystemComparison::verdict and `decisive`, and compute nothing of the kind themselves.

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/support/mixed_model.h"
#include "loopbank/support/statistics.h"

namespace loopbank {

/// The level of a verdict, of the adjusted p.
inline constexpr double kLevel = 0.05;

enum class Verdict { kBetter, kWorse, kOpen };
/// `better`, `worse`, `not told apart`.
[[nodiscard]] std::string_view name_of(Verdict verdict);

/// Better or worse where the interval of a difference, this one minus the other, leaves out 0.
[[nodiscard]] Verdict verdict_on(const Difference& difference, bool lower_is_better);

/// Which two systems, by name, and in which column, by key.
struct ComparedPair {
  std::string system;
  std::string other;
  std::string column;
  auto operator<=>(const ComparedPair&) const = default;
};

struct SystemComparison {
  double here = 0.0;                         ///< score of the system, mean over the common seeds
  double there = 0.0;                        ///< score of the other
  Difference questions = {};                 ///< here - there over the questions alone
  std::optional<SeedDifference> seeds = {};  ///< over seeds and questions, from two seeds on
  int64_t num_seeds = 0;                     ///< that are common
  bool estimated = false;  ///< `questions` is of standard errors, as if independent
  /// Standard deviation over seeds of the difference, known from earlier runs of these settings.
  std::optional<double> earlier_deviation = {};

  // Filled in by judge() and judge_family():
  Difference decisive = {};  ///< `seeds`, or where there is none `questions`
  bool over_seeds = false;   ///< `decisive` is `seeds`
  bool lower_is_better = false;
  double adjusted_p = 1.0;                     ///< within the family; 1 for fewer than two seeds
  int64_t family_size = 1;                     ///< tests of the family
  std::optional<double> smallest_effect = {};  ///< that could have been seen: 80 % power at 5 %
  std::optional<int64_t> seeds_needed = {};    ///< for the effect that was measured, likewise
  Verdict verdict = Verdict::kOpen;

  /// (here - there) / there.
  [[nodiscard]] double relative() const { return there == 0 ? 0.0 : here / there - 1; }
  /// A difference as a share of the other's score.
  [[nodiscard]] double share(double difference) const {
    return there == 0 ? 0.0 : difference / there;
  }
  /// What a seed's difference scatters by: measured here from three common seeds on, else that of
  /// earlier runs, else nothing.
  [[nodiscard]] std::optional<double> deviation() const;
};

/// Fills in what follows from one comparison by itself, a family of one.
void judge(SystemComparison& comparison, bool lower_is_better);

/// The comparison of B against A out of that of A against B; to be judged.
[[nodiscard]] SystemComparison turned_round(SystemComparison comparison);

/// Student's paired t in place of the mixed model, for differences whose questions are not known one by
/// one: judge() completes it, and lets `questions` decide where the seeds are sure and these are not.
/// @return nothing for fewer than two
[[nodiscard]] std::optional<SeedDifference> over_seeds_alone(std::span<const double> by_seed);

/// Adjusts the p of a family's tests by Holm and says the verdicts anew. A test may stand in several
/// comparisons, of A against B and of B against A.
/// @param tests  of each the comparisons, at least one, judged; those without `seeds` are no tests
void judge_family(const std::vector<std::vector<SystemComparison*>>& tests);

/// here - there over the questions of all seeds, and over seeds; judged.
/// @param tasks         differences, at least one task
/// @param here, there   scores of the two, means over the seeds
[[nodiscard]] SystemComparison compare_seeds(const std::vector<TaskDifferences>& tasks, double here,
                                             double there, bool lower_is_better);

/// ` over seeds`, or for one seed ` over the questions of one seed`: what the decisive interval is of;
/// empty for none.
[[nodiscard]] std::string_view interval_source(const SystemComparison& comparison);

/// `p < 0.001` or `p = 0.030`.
[[nodiscard]] std::string p_text(double p);

/// What the verdict rests on, and where it is open what would settle it: `1 seed; an effect of this
/// size takes about 6 seeds`, `8 seeds, adjusted p = 0.012`.
[[nodiscard]] std::string how_sure(const SystemComparison& comparison);

/// `1.690 against 2.160, -21.8 % (95 % interval of the difference over seeds -0.500 to -0.400; 3
/// seeds, adjusted p = 0.012)`: the decisive interval.
[[nodiscard]] std::string describe(const SystemComparison& comparison);

}  // namespace loopbank
