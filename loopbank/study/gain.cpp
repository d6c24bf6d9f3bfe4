#include "loopbank/study/gain.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <map>

#include "loopbank/support/statistics.h"

namespace loopbank {
namespace {

constexpr size_t kFewestFitted = 3;
/// A line says nothing of what lies more doublings than this behind the last point.
constexpr double kFarthestDoublings = 6.0;

/// d by tokens.
using SeedGains = std::map<double, double>;

const ScoreCurve* curve_of_seed(const SystemResult& system, int64_t seed) {
  const auto found = std::find_if(system.score_curves.begin(), system.score_curves.end(),
                                  [&](const ScoreCurve& curve) { return curve.seed == seed; });
  return found == system.score_curves.end() ? nullptr : &*found;
}

std::map<double, double> scores_by_tokens(const ScoreCurve& curve, const std::string& column) {
  std::map<double, double> scores;
  if (const auto found = curve.scores.find(column); found != curve.scores.end()) {
    for (size_t i = 0; i < std::min(found->second.size(), curve.tokens.size()); ++i) {
      if (curve.tokens[i] > 0 && std::isfinite(found->second[i])) {
        scores[curve.tokens[i]] = found->second[i];
      }
    }
  }
  return scores;
}

SeedGains gains_of_seed(const ScoreCurve& one, const ScoreCurve& other, const std::string& column) {
  SeedGains gains;
  const auto there = scores_by_tokens(other, column);
  for (const auto& [tokens, score] : scores_by_tokens(one, column)) {
    if (const auto found = there.find(tokens); found != there.end()) {
      gains[tokens] = score - found->second;
    }
  }
  return gains;
}

double covariance_of(const std::vector<double>& a, const std::vector<double>& b) {
  const double mean_a = mean_of(a);
  const double mean_b = mean_of(b);
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += (a[i] - mean_a) * (b[i] - mean_b);
  }
  return sum / static_cast<double>(a.size() - 1);
}

/// Where A + B u may be 0: the roots of (A + B u)^2 = t^2 / S var(a_s + b_s u).
/// @return u of the crossing and of its interval's ends; nothing where the interval has no ends
std::optional<GainCrossing> fieller(const std::vector<double>& a, const std::vector<double>& b) {
  const auto count = static_cast<double>(a.size());
  const boost::math::students_t student(count - 1);
  const double t = boost::math::quantile(student, 0.975);
  const double k = t * t / count;
  const double mean_a = mean_of(a);
  const double mean_b = mean_of(b);
  const double square = mean_b * mean_b - k * variance_of(b);
  const double middle = mean_a * mean_b - k * covariance_of(a, b);
  const double constant = mean_a * mean_a - k * variance_of(a);
  if (!(square > 0)) {
    return std::nullopt;
  }
  const double root = std::sqrt(std::max(0.0, middle * middle - square * constant));
  return GainCrossing{.tokens = -mean_a / mean_b,
                      .low = (-middle - root) / square,
                      .high = (-middle + root) / square};
}

std::optional<GainFit> fit_of(const std::vector<SeedGains>& by_seed,
                              const std::vector<double>& tokens) {
  const size_t first = tokens.size() / 2;
  const size_t fitted = tokens.size() - first;
  if (by_seed.size() < 2 || fitted < kFewestFitted) {
    return std::nullopt;
  }
  std::vector<double> x;
  for (size_t i = first; i < tokens.size(); ++i) {
    x.push_back(std::log2(tokens[i]));
  }
  const double middle = mean_of(x);  // a and b hang together least around it
  for (auto& value : x) {
    value -= middle;
  }
  std::vector<double> a;
  std::vector<double> b;
  for (const auto& gains : by_seed) {
    std::vector<double> y;
    for (size_t i = first; i < tokens.size(); ++i) {
      y.push_back(gains.at(tokens[i]));
    }
    const auto [level, slope] = fit_line(x, y);
    a.push_back(level);
    b.push_back(slope);
  }
  GainFit fit{.points = fitted, .per_doubling = *student_difference(b)};
  if (const auto found = fieller(a, b)) {
    // Before the first point of the line the gains are known, and the line is none of theirs.
    const double least = x.front() - 1e-9;
    const double most = x.back() + kFarthestDoublings;
    if (found->tokens >= least && found->tokens <= most) {
      const auto in_tokens = [&](double u) { return std::exp2(u + middle); };
      const double never = std::numeric_limits<double>::infinity();
      fit.crossing =
          GainCrossing{in_tokens(found->tokens), found->low < least ? 0.0 : in_tokens(found->low),
                       found->high > most ? never : in_tokens(found->high)};
    }
  }
  return fit;
}

}  // namespace

GainCurve gain_curve(const SystemResult& one, const SystemResult& other,
                     const std::string& column) {
  GainCurve curve;
  std::vector<SeedGains> by_seed;
  for (const auto& scores : one.score_curves) {
    const auto* there = curve_of_seed(other, scores.seed);
    auto gains = there == nullptr ? SeedGains() : gains_of_seed(scores, *there, column);
    if (!gains.empty()) {
      curve.seeds.push_back(scores.seed);
      by_seed.push_back(std::move(gains));
    }
  }
  std::vector<double> tokens;
  for (const auto& [count, gain] : by_seed.empty() ? SeedGains() : by_seed.front()) {
    if (std::all_of(by_seed.begin(), by_seed.end(),
                    [at = count](const SeedGains& gains) { return gains.contains(at); })) {
      tokens.push_back(count);
    }
  }
  for (const double count : tokens) {
    std::vector<double> differences;
    for (const auto& gains : by_seed) {
      differences.push_back(gains.at(count));
    }
    curve.points.push_back(
        {.tokens = count, .mean = mean_of(differences), .seeds = student_difference(differences)});
  }
  curve.fit = fit_of(by_seed, tokens);
  return curve;
}

}  // namespace loopbank
