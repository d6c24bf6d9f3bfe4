#include "loopbank/study/power.h"

#include <array>
#include <boost/math/distributions/non_central_t.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>

#include "loopbank/support/statistics.h"

namespace loopbank {
namespace {

constexpr double kUpperQuantile = 0.975;
/// Errors from 0 at which a test of one degree of freedom has a power of 1 - 1e-6 and more.
constexpr double kSurelySeen = 200.0;

struct ErrorOfMean {
  double standard_error;
  double degrees_of_freedom;
};

/// Degrees of freedom that are as good as any number.
constexpr double kManyDegrees = 1e6;

/// Of a mean over so many seeds; the lasting part is taken as known.
ErrorOfMean error_of_mean(const SeedScatter& scatter, int64_t num_seeds) {
  const auto count = static_cast<double>(num_seeds);
  const double of_seeds = scatter.deviation * scatter.deviation / count;
  const std::array<VariancePart, 2> parts = {
      {{of_seeds, count - 1}, {scatter.lasting_variance, kManyDegrees}}};
  return {.standard_error = std::sqrt(of_seeds + scatter.lasting_variance),
          .degrees_of_freedom = combined_degrees_of_freedom(parts)};
}

}  // namespace

double power_of(double effect, double standard_error, double degrees_of_freedom) {
  const double distance = std::abs(effect) / standard_error;
  if (distance >= kSurelySeen) {
    return 1.0;
  }
  const boost::math::students_t central(degrees_of_freedom);
  const double bound = boost::math::quantile(central, kUpperQuantile);
  const boost::math::non_central_t shifted(degrees_of_freedom, distance);
  return boost::math::cdf(boost::math::complement(shifted, bound)) +
         boost::math::cdf(shifted, -bound);
}

double smallest_effect(double standard_error, double degrees_of_freedom) {
  double low = 0.0;
  double high = kSurelySeen;
  constexpr int kHalvings = 40;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    (power_of(middle, 1.0, degrees_of_freedom) < kWantedPower ? low : high) = middle;
  }
  return high * standard_error;
}

double smallest_effect(const SeedScatter& scatter, int64_t num_seeds) {
  const auto error = error_of_mean(scatter, num_seeds);
  return smallest_effect(error.standard_error, error.degrees_of_freedom);
}

std::optional<int64_t> seeds_needed(double effect, const SeedScatter& scatter) {
  const auto enough = [&](int64_t num_seeds) {
    const auto error = error_of_mean(scatter, num_seeds);
    return power_of(effect, error.standard_error, error.degrees_of_freedom) >= kWantedPower;
  };
  if (!enough(kMostSeeds)) {
    return std::nullopt;
  }
  int64_t few = 1;
  int64_t most = kMostSeeds;
  while (most - few > 1) {
    const auto middle = (few + most) / 2;
    (enough(middle) ? most : few) = middle;
  }
  return most;
}

}  // namespace loopbank
