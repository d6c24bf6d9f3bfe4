#pragma once
/// Statistics of measured numbers: means and how sure they are, Student's t, the bootstrap.
///
/// Two systems are compared by their differences, pair by pair, so that what moves both does not
/// blur what separates them:
///
///     over seeds                 d_1 .. d_S       Student's t            of systems, whatever the seed
///     over questions             d_1 .. d_Q       paired bootstrap       of these weights alone
///     over seeds and questions   d_sq             mixed model            of both (mixed_model.h)

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace loopbank {

/// The q-quantile, straight between neighbours.
/// @param sorted  rising, at least one
/// @param q       in [0, 1]
[[nodiscard]] double quantile_of(const std::vector<double>& sorted, double q);
/// @param values  at least one
[[nodiscard]] double mean_of(std::span<const double> values);
/// Of a sample, with n - 1.
/// @param values  at least two
[[nodiscard]] double variance_of(std::span<const double> values);
/// The root of the variance.
[[nodiscard]] double deviation_of(std::span<const double> values);
/// Of the mean: deviation / sqrt(n); 0 where n = 1.
[[nodiscard]] double standard_error_of(std::span<const double> values);
/// The middle value, for an even count the mean of the two in the middle; 0 for none.
[[nodiscard]] double median(std::vector<double> values);

/// y = start + slope x.
struct Line {
  double start = 0.0;
  double slope = 0.0;
};
/// The line with the least sum of weighted squared errors in y.
/// @param x, y     as many of both, of two different x at least
/// @param weights  one a point, above 0; empty: all alike
[[nodiscard]] Line fit_line(std::span<const double> x, std::span<const double> y,
                            std::span<const double> weights = {});

/// A difference with its 95 % interval and two-sided p.
struct Difference {
  double difference = 0.0;
  double low = 0.0;
  double high = 0.0;
  double p = 1.0;

  [[nodiscard]] bool excludes_zero() const { return low > 0.0 || high < 0.0; }
};

/// Student's t: an interval from a standard error and its degrees of freedom, which need be no whole
/// number. An error of 0 leaves no doubt.
[[nodiscard]] Difference student_difference(double difference, double standard_error,
                                            double degrees_of_freedom);

/// One of several independent estimates that add up to a variance.
struct VariancePart {
  double variance = 0.0;
  double degrees_of_freedom = 1.0;  ///< above 0
};

/// An interval from a variance in parts. The critical value of each level is the mean of the parts'
/// own, weighted by their variances (Cochran 1964, Biometrics 20):
///
///     t'_p = sum_i V_i t_{p,nu_i} / sum_i V_i         p is that of t'_p = |difference| / error
///
/// It rejects a true 0 in 5 % of cases at most, whatever the parts' true ratio (Mickey and Brown 1966,
/// Annals of Mathematical Statistics 37). Rejected: Satterthwaite's degrees of freedom, which jump up
/// where a part of few degrees of freedom comes out small by chance, and let 7 to 13 % pass for 5 %.
/// @param parts  at least one
[[nodiscard]] Difference combined_difference(double difference,
                                             std::span<const VariancePart> parts);
/// Of the t distribution whose 95 % interval is that of combined_difference.
[[nodiscard]] double combined_degrees_of_freedom(std::span<const VariancePart> parts);

/// Student's paired t: the mean of the differences, its interval with n - 1 degrees of freedom.
/// Differences that are all equal leave no doubt.
/// @param differences  nothing for fewer than two
[[nodiscard]] std::optional<Difference> student_difference(std::span<const double> differences);

/// An interval from standard errors that are taken as independent and normal: for what was not
/// measured in pairs.
[[nodiscard]] Difference normal_difference(double difference, std::span<const double> errors);

/// Holm's adjustment (1979, Scandinavian Journal of Statistics 6): of m tests the i-th smallest p
/// times m - i + 1, never below the one before it and at most 1. Where a test counts with an adjusted
/// p of 0.05 at most, the probability of one false finding or more among the m is 0.05 at most,
/// however they hang together.
/// @return in the order of `p`
[[nodiscard]] std::vector<double> holm_adjusted(std::span<const double> p);

/// The mean difference of every resample, and the plain means.
struct Resampled {
  double a = 0.0;
  double b = 0.0;
  std::vector<double> differences;  ///< [R] mean of b - a over each resample
};

/// The paired bootstrap: documents are drawn with replacement, both scores of one together.
/// @param a, b       scores of the same documents in the same order, at least one
/// @param seed       the same seed draws the same documents, whatever the scores
/// @param resamples  R, at least 1
/// @throws Error kShape when the numbers of scores differ or there is none
[[nodiscard]] Resampled resample_pairs(std::span<const double> a, std::span<const double> b,
                                       uint64_t seed, int64_t resamples);

/// The mean over several tasks, resampled each by itself: element by element.
/// @param tasks  at least one, all of the same R
[[nodiscard]] Resampled mean_of(std::span<const Resampled> tasks);

/// The interval holds the percentiles 2.5 to 97.5 of the resamples. p is the share of resamples
/// that, moved to a mean of 0, lie as far from 0 as the difference does; the data itself counts as
/// one more.
struct PairedDifference : Difference {
  double a = 0.0;
  double b = 0.0;
};
[[nodiscard]] PairedDifference describe_difference(const Resampled& resampled);

}  // namespace loopbank
