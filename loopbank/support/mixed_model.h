#pragma once
/// How sure a mean difference over seeds and questions is: a mixed model in closed form.
///
///     d_sq = mu + a_s + b_q + e_sq          seed s of S, question q of Q, all effects random
///
/// Both what seeds and what questions are drawn for a study by chance moves its mean, so its variance
/// holds both (generalising over items as well as over subjects: Clark 1973, Journal of Verbal
/// Learning and Verbal Behavior 12). A score is the plain mean over K tasks, each with questions of
/// its own. With V_seeds = var_s(mean of seed s) / S:
///
///     nested    each seed has questions of its own: b_q is part of the scatter of the seeds' means
///         Var = V_seeds                                    S - 1 degrees of freedom: the paired t
///     crossed   all seeds have the same questions, whose b_q no scatter over seeds shows
///         Var = V_seeds + V_questions - V_both             never below V_seeds, nor V_questions
///         V_questions = sum_k var_q(mean over seeds of d_sq) / (K^2 Q_k)
///         V_both      = sum_k (residual mean square) / (K^2 S Q_k)
///
/// The sum is the unbiased estimate of the two-way layout without replication. Its critical values are
/// those of V_seeds with S - 1 degrees of freedom and of the rest with V_questions', combined
/// (combined_difference in statistics.h): V_seeds of two seeds may come out tiny by chance, and then
/// tells no more than two seeds do.
///
/// **Seeds that agree by accident.** Few seeds may agree more closely than their own questions let
/// them: two accuracies that differ by one question in both have no scatter at all. Where V_seeds lies
/// below what one study in a hundred without any effect of the seeds would show, by its questions'
/// noise alone, the questions decide: the variance over them, with their degrees of freedom.
/// Rejected: the wider of both intervals always, which at three seeds holds the truth in 98.7 % where
/// seeds do not matter; the hierarchical bootstrap, which of three seeds is far too narrow.

#include <optional>
#include <span>
#include <vector>

#include "loopbank/support/statistics.h"

namespace loopbank {

/// The differences of one task.
struct TaskDifferences {
  std::vector<std::vector<double>> by_seed;  ///< [S][Q_s], both at least one
  /// All seeds have the same questions in the same order; else each has its own.
  bool same_questions = false;
};

/// A difference that holds for other seeds and other questions.
struct SeedDifference : Difference {
  double standard_error = 0.0;
  double degrees_of_freedom = 0.0;  ///< of the t distribution with the same interval
  /// Standard deviation over seeds of one seed's difference, its own questions' noise included.
  double deviation = 0.0;
  /// The part of the variance that stays however many seeds there are: of questions that all share.
  double lasting_variance = 0.0;
};

struct MixedDifference {
  std::vector<double> by_seed;  ///< [S] of each seed, the mean over tasks
  /// The mean over seeds, over the questions alone: of these sets of weights. A task with a single
  /// question tells nothing of its scatter and adds none.
  Difference questions;
  std::optional<SeedDifference> seeds;  ///< from two seeds on
};

/// @param tasks  at least one, all of the same S
/// @throws Error kShape where a task has no question in a seed, other seeds than the first task, or
///         the same questions in other numbers
[[nodiscard]] MixedDifference mixed_difference(std::span<const TaskDifferences> tasks);

}  // namespace loopbank
