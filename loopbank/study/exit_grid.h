#pragma once
/// Which rules a study of exits compares: thresholds that give each kind of rule the same loops, so
/// that rules meet at equal FLOPs.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace loopbank {

/// Loops that a rule runs, measured: mean over layers and tokens.
using LoopsOfRule = std::function<double(const std::string& rule)>;

/// How a threshold is sought, by halving.
struct ThresholdSearch {
  int trials = 1;
  double near = 0.0;     ///< loops from the wanted ones at which the search ends
  double reached = 0.0;  ///< loops from them that are still called so
};

/// The rule of a kind that runs nearest to so many loops; three digits of its threshold or, of a
/// probability, of what is missing to 1.
///
/// @param kind    cdf, router, change, accel, entropy or kl
/// @param tried   thresholds of the kind and the loops that they run, which narrow the search; it
///                adds its own
/// @return empty where none comes near
[[nodiscard]] std::string rule_that_runs(std::string_view kind, double loops,
                                         const ThresholdSearch& search,
                                         const LoopsOfRule& mean_loops,
                                         std::map<double, double>& tried);

/// `all`, budgets, and cdf, router, change, accel, entropy and kl at the thresholds by which a token
/// runs 1/4, 1/2 and 3/4 of the loops behind the first, as far as the rule can; found by bisection,
/// three digits of them or of what is missing to 1; then argmax. Soft ones, each followed by its hard
/// variant where that differs, but for the three that read the head.
///
/// @param num_loops   mean over layers of N
/// @param most_loops  the largest N
/// @param mean_loops  that a rule runs, measured
[[nodiscard]] std::vector<std::string> exit_grid(double num_loops, int64_t most_loops,
                                                 const LoopsOfRule& mean_loops);

}  // namespace loopbank
