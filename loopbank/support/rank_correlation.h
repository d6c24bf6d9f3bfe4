#pragma once
/// Rank correlation: whether one quantity rises with another, whatever the scale of either.
///
///     rho             Pearson's r of the ranks, equal values at the mean of theirs  (Spearman 1904)
///     rho given z     (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2) (1 - r_yz^2))          of the ranks
///     over groups     bootstrap: whole groups are drawn, since their members resemble each other
///     over seeds      z = atanh(rho) of each, Student's t of their mean             (Fisher 1921)
///
/// A quantity that is the same everywhere rises with nothing: its rho is 0, without an interval.

#include <cstdint>
#include <span>
#include <vector>

namespace loopbank {

/// Spearman's rank correlation with its 95 % interval.
struct RankCorrelation {
  double rho = 0.0;
  double low = 0.0;
  double high = 0.0;
  /// False where rho says nothing, since a side never changes or the rest decides it, and where there
  /// is too little to tell how sure it is; then low = high = rho.
  bool has_interval = false;

  /// Whether the interval lies on one side of 0.
  [[nodiscard]] bool is_clear() const { return has_interval && (low > 0.0 || high < 0.0); }
};

/// From 1 on, equal values at the mean of their ranks.
[[nodiscard]] std::vector<double> mean_ranks(std::span<const double> values);

/// What is correlated: observations, one after another in all lists.
struct RankedSample {
  std::span<const double> x;
  std::span<const double> y;
  std::vector<std::span<const double>> given = {};  ///< held: what else moves x or y
  std::span<const int64_t> groups = {};             ///< of each observation; empty: each is its own
};

/// Spearman's rho; with `given` the partial one.
/// @return in [-1, 1]; 0 where x, y or what is left of them never changes
/// @throws Error kShape where lists differ in length
[[nodiscard]] double spearman(const RankedSample& sample);

/// Fewest groups from which a bootstrap is taken: below, a resample has too few different members.
inline constexpr int64_t kFewestGroups = 8;

/// The same with percentiles 2.5 to 97.5 of resamples of groups; a resample that never changes counts
/// as 0.
/// @param seed  the same seed draws the same groups, whatever the values
/// @throws Error kShape as spearman
[[nodiscard]] RankCorrelation rank_correlation(const RankedSample& sample, uint64_t seed,
                                               int64_t resamples = 1000);

/// What several seeds say together: the mean of their z and its interval by Student's t, as rho. A
/// seed without a correlation counts as 0; one alone is given back as it is.
/// @param seeds  at least one
[[nodiscard]] RankCorrelation combine_seeds(std::span<const RankCorrelation> seeds);

}  // namespace loopbank
