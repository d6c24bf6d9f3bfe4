#pragma once
/// Which rules a study of exits compares: thresholds that give each kind of rule the same loops, so
/// that rules meet at equal FLOPs.

#include <functional>
#include <string>
#include <vector>

namespace loopbank {

/// `all`, budgets, and cdf, router, change, accel, entropy and kl at the thresholds by which a token
/// runs 1/4, 1/2 and 3/4 of the loops behind the first, as far as the rule can; found by bisection,
/// three digits of them or of what is missing to 1; then argmax. Soft ones, each followed by its hard
/// variant where that differs, but for the three that read the head.
///
/// @param num_loops   mean over layers of N
/// @param most_loops  the largest N
/// @param mean_loops  that a rule runs, measured
[[nodiscard]] std::vector<std::string> exit_grid(
    double num_loops, int64_t most_loops,
    const std::function<double(const std::string& rule)>& mean_loops);

}  // namespace loopbank
