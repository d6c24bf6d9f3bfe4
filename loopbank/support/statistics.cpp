#include "loopbank/support/statistics.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <boost/math/tools/roots.hpp>
#include <cmath>
#include <functional>
#include <numeric>

#include "loopbank/support/error.h"
#include "loopbank/support/random.h"

namespace loopbank {
namespace {

constexpr double kTail = 0.025;
/// Differences that are equal but for the order of a sum.
constexpr double kRounding = 1e-12;
/// Below it a p is no longer told apart: 1e-100.
constexpr double kSmallestLogP = -230.0;

void expect_pairs(size_t a, size_t b) {
  if (a != b || a == 0) {
    fail(ErrorCode::kShape, "bootstrap: expected the same number of scores twice, got {} and {}.",
         a, b);
  }
}

std::vector<double> differences_of(std::span<const double> a, std::span<const double> b) {
  expect_pairs(a.size(), b.size());
  std::vector<double> differences(a.size());
  std::transform(b.begin(), b.end(), a.begin(), differences.begin(), std::minus<>());
  return differences;
}

Difference without_doubt(double difference) {
  return {.difference = difference,
          .low = difference,
          .high = difference,
          .p = difference == 0.0 ? 1.0 : 0.0};
}

double variance_of(std::span<const VariancePart> parts) {
  double sum = 0.0;
  for (const auto& part : parts) {
    sum += part.variance;
  }
  return sum;
}

/// What a combined difference lies within, in errors, with a two-sided probability of 1 - p.
double critical_value(std::span<const VariancePart> parts, double p) {
  double sum = 0.0;
  for (const auto& part : parts) {
    const boost::math::students_t t(part.degrees_of_freedom);
    sum += part.variance * boost::math::quantile(boost::math::complement(t, p / 2));
  }
  return sum / variance_of(parts);
}

/// Where a function that changes its sign between two places is 0.
template <typename F>
double root_between(const F& f, double low, double high) {
  constexpr int kBits = 40;
  std::uintmax_t steps = 200;
  const auto [below, above] = boost::math::tools::toms748_solve(
      f, low, high, boost::math::tools::eps_tolerance<double>(kBits), steps);
  return (below + above) / 2;
}

/// The mean of as many draws with replacement as there are values.
double mean_of_draws(std::span<const double> values, RandomStream& random) {
  double sum = 0.0;
  for (size_t draw = 0; draw < values.size(); ++draw) {
    sum += values[random.below(values.size())];
  }
  return sum / static_cast<double>(values.size());
}

}  // namespace

double quantile_of(const std::vector<double>& sorted, double q) {
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const auto above = std::min(below + 1, sorted.size() - 1);
  const double share = place - static_cast<double>(below);
  return sorted[below] + share * (sorted[above] - sorted[below]);
}

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double variance_of(std::span<const double> values) {
  const double mean = mean_of(values);
  double squares = 0.0;
  for (const double value : values) {
    squares += (value - mean) * (value - mean);
  }
  return squares / (static_cast<double>(values.size()) - 1.0);
}

double deviation_of(std::span<const double> values) {
  return std::sqrt(variance_of(values));
}

double standard_error_of(std::span<const double> values) {
  return values.size() < 2 ? 0.0
                           : std::sqrt(variance_of(values) / static_cast<double>(values.size()));
}

Line fit_line(std::span<const double> x, std::span<const double> y,
              std::span<const double> weights) {
  const auto weight = [&](size_t i) { return weights.empty() ? 1.0 : weights[i]; };
  double all = 0.0, mean_x = 0.0, mean_y = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    all += weight(i);
    mean_x += weight(i) * x[i];
    mean_y += weight(i) * y[i];
  }
  mean_x /= all;
  mean_y /= all;
  double products = 0.0, squares = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    products += weight(i) * (x[i] - mean_x) * (y[i] - mean_y);
    squares += weight(i) * (x[i] - mean_x) * (x[i] - mean_x);
  }
  const double slope = products / squares;
  return {.start = mean_y - slope * mean_x, .slope = slope};
}

double median(std::vector<double> values) {
  if (values.empty()) {
    return 0.0;
  }
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) {
    return *middle;
  }
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

Difference student_difference(double difference, double standard_error, double degrees_of_freedom) {
  if (standard_error == 0.0) {
    return without_doubt(difference);
  }
  const boost::math::students_t t(degrees_of_freedom);
  const double half = boost::math::quantile(t, 1.0 - kTail) * standard_error;
  const double distance = std::abs(difference) / standard_error;
  return {.difference = difference,
          .low = difference - half,
          .high = difference + half,
          .p = 2 * boost::math::cdf(boost::math::complement(t, distance))};
}

Difference combined_difference(double difference, std::span<const VariancePart> parts) {
  const double error = std::sqrt(variance_of(parts));
  for (const auto& part : parts) {
    if (part.variance == variance_of(parts)) {  // all of it, or all are 0
      return student_difference(difference, error, part.degrees_of_freedom);
    }
  }
  const double half = critical_value(parts, 2 * kTail) * error;
  const double distance = std::abs(difference) / error;
  const auto off = [&](double log_p) { return critical_value(parts, std::exp(log_p)) - distance; };
  const double p = distance == 0.0             ? 1.0
                   : off(kSmallestLogP) <= 0.0 ? std::exp(kSmallestLogP)
                                               : std::exp(root_between(off, kSmallestLogP, 0.0));
  return {.difference = difference, .low = difference - half, .high = difference + half, .p = p};
}

double combined_degrees_of_freedom(std::span<const VariancePart> parts) {
  const auto [few, many] = std::minmax_element(parts.begin(), parts.end(), [](auto& a, auto& b) {
    return a.degrees_of_freedom < b.degrees_of_freedom;
  });
  if (variance_of(parts) == 0.0) {
    return few->degrees_of_freedom;
  }
  const double wanted = critical_value(parts, 2 * kTail);
  const auto off = [&](double log_degrees) {
    const VariancePart one{.variance = 1.0, .degrees_of_freedom = std::exp(log_degrees)};
    return critical_value({&one, 1}, 2 * kTail) - wanted;
  };
  const double low = std::log(few->degrees_of_freedom);
  const double high = std::log(many->degrees_of_freedom);
  return off(low) <= 0.0    ? few->degrees_of_freedom
         : off(high) >= 0.0 ? many->degrees_of_freedom
                            : std::exp(root_between(off, low, high));
}

std::optional<Difference> student_difference(std::span<const double> differences) {
  if (differences.size() < 2) {
    return std::nullopt;
  }
  return student_difference(mean_of(differences), standard_error_of(differences),
                            static_cast<double>(differences.size()) - 1);
}

Difference normal_difference(double difference, std::span<const double> errors) {
  double squares = 0.0;
  for (const double error : errors) {
    squares += error * error;
  }
  const double error = std::sqrt(squares);
  if (error == 0.0) {
    return without_doubt(difference);
  }
  const boost::math::normal normal;
  const double half = boost::math::quantile(normal, 1.0 - kTail) * error;
  return {.difference = difference,
          .low = difference - half,
          .high = difference + half,
          .p = 2 * boost::math::cdf(boost::math::complement(normal, std::abs(difference) / error))};
}

std::vector<double> holm_adjusted(std::span<const double> p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] < p[b]; });
  std::vector<double> adjusted(p.size());
  double largest = 0.0;
  for (size_t i = 0; i < order.size(); ++i) {
    const auto tests_left = static_cast<double>(order.size() - i);
    largest = std::max(largest, std::min(1.0, tests_left * p[order[i]]));
    adjusted[order[i]] = largest;
  }
  return adjusted;
}

Resampled resample_pairs(std::span<const double> a, std::span<const double> b, uint64_t seed,
                         int64_t resamples) {
  const auto differences = differences_of(a, b);
  Resampled result{.a = mean_of(a), .b = mean_of(b), .differences = {}};
  RandomStream random(seed);
  for (int64_t i = 0; i < resamples; ++i) {
    result.differences.push_back(mean_of_draws(differences, random));
  }
  return result;
}

Resampled mean_of(std::span<const Resampled> tasks) {
  const auto share = 1.0 / static_cast<double>(tasks.size());
  Resampled mean{.a = 0.0,
                 .b = 0.0,
                 .differences = std::vector<double>(tasks.front().differences.size(), 0.0)};
  for (const auto& task : tasks) {
    mean.a += share * task.a;
    mean.b += share * task.b;
    for (size_t i = 0; i < mean.differences.size(); ++i) {
      mean.differences[i] += share * task.differences.at(i);
    }
  }
  return mean;
}

PairedDifference describe_difference(const Resampled& resampled) {
  auto sorted = resampled.differences;
  std::sort(sorted.begin(), sorted.end());
  PairedDifference result;
  result.a = resampled.a;
  result.b = resampled.b;
  result.difference = resampled.b - resampled.a;
  result.low = quantile_of(sorted, kTail);
  result.high = quantile_of(sorted, 1.0 - kTail);
  const double distance = std::abs(result.difference) - kRounding;
  const auto as_far = std::count_if(sorted.begin(), sorted.end(), [&](double value) {
    return std::abs(value - result.difference) >= distance;
  });
  result.p = static_cast<double>(1 + as_far) / static_cast<double>(1 + sorted.size());
  return result;
}

}  // namespace loopbank
