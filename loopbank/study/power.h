#pragma once
/// How many seeds it takes to tell an effect from noise, and which effect so many seeds can tell.
///
///     power(effect) = P(|T| > t_0.975,nu)     T noncentral t, nu degrees of freedom, effect / error
///
/// Of the two-sided t test at 5 % that verdicts rest on, before the adjustment for other tests. What
/// is asked for is a power of 80 %: of five studies such as this one, four would tell.

#include <cstdint>
#include <optional>

namespace loopbank {

inline constexpr double kWantedPower = 0.8;
inline constexpr int64_t kMostSeeds = 1000;  ///< more are not counted

/// How one seed's difference scatters, and what stays however many seeds there are.
struct SeedScatter {
  double deviation = 0.0;         ///< over seeds, above 0
  double lasting_variance = 0.0;  ///< of questions that all seeds share
};

/// @param effect              in the unit of the error, of either sign
/// @param standard_error      above 0
/// @param degrees_of_freedom  at least 1
[[nodiscard]] double power_of(double effect, double standard_error, double degrees_of_freedom);

/// The effect that has a power of 80 %, in the unit of the error.
[[nodiscard]] double smallest_effect(double standard_error, double degrees_of_freedom);

/// The effect that so many seeds would see.
/// @param num_seeds  at least 2
[[nodiscard]] double smallest_effect(const SeedScatter& scatter, int64_t num_seeds);

/// How many seeds see the effect with a power of 80 %, 2 at least; nothing where kMostSeeds do not.
[[nodiscard]] std::optional<int64_t> seeds_needed(double effect, const SeedScatter& scatter);

}  // namespace loopbank
