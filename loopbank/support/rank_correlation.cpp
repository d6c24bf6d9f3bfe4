#include "loopbank/support/rank_correlation.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include "loopbank/support/error.h"
#include "loopbank/support/random.h"
#include "loopbank/support/statistics.h"

namespace loopbank {
namespace {

constexpr double kTailOfRho = 0.025;
/// 1 - r^2 below this: one side is decided by the other but for rounding.
constexpr double kDecided = 1e-12;
/// Of a seed's rho, so that its z is finite.
constexpr double kMostRho = 1.0 - 1e-6;

/// Values put in order once, whose ranks follow for any weights.
class RankOrder {
 public:
  explicit RankOrder(std::span<const double> values) : order_(values.size()) {
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::sort(order_.begin(), order_.end(),
              [&](size_t a, size_t b) { return values[a] < values[b]; });
    for (size_t i = 0; i < order_.size(); ++i) {
      if (i + 1 == order_.size() || values[order_[i]] != values[order_[i + 1]]) {
        ends_.push_back(i + 1);
      }
    }
  }

  /// Ranks where observation i occurs weights[i] times.
  [[nodiscard]] std::vector<double> ranks(const std::vector<double>& weights) const {
    std::vector<double> ranks(order_.size());
    double before = 0.0;
    for (size_t begin = 0, run = 0; run < ends_.size(); begin = ends_[run++]) {
      double equal = 0.0;
      for (size_t i = begin; i < ends_[run]; ++i) {
        equal += weights[order_[i]];
      }
      for (size_t i = begin; i < ends_[run]; ++i) {
        ranks[order_[i]] = before + (equal + 1.0) / 2.0;
      }
      before += equal;
    }
    return ranks;
  }

 private:
  std::vector<size_t> order_;
  std::vector<size_t> ends_;  // of the runs of equal values
};

/// Correlations of all pairs of ranks; nothing beside a quantity that never changes.
class CorrelationTable {
 public:
  /// @param ranks  [K][n]; those of n observations have the mean (sum of weights + 1) / 2
  CorrelationTable(const std::vector<std::vector<double>>& ranks,
                   const std::vector<double>& weights)
      : size_(ranks.size()), r_(size_ * size_, 0.0) {
    const double mean = (std::accumulate(weights.begin(), weights.end(), 0.0) + 1.0) / 2.0;
    for (size_t i = 0; i < size_; ++i) {
      for (size_t j = 0; j <= i; ++j) {
        double sum = 0.0;
        for (size_t n = 0; n < weights.size(); ++n) {
          sum += weights[n] * (ranks[i][n] - mean) * (ranks[j][n] - mean);
        }
        at(i, j) = at(j, i) = sum;
      }
    }
    std::vector<double> variances(size_);
    for (size_t i = 0; i < size_; ++i) {
      variances[i] = at(i, i);
    }
    for (size_t i = 0; i < size_; ++i) {
      for (size_t j = 0; j < size_; ++j) {
        const double scale = std::sqrt(variances[i] * variances[j]);
        at(i, j) = scale > 0.0 ? at(i, j) / scale : 0.0;
      }
    }
  }

  /// Of the first two, all others held one after another; nothing where that leaves either no change.
  [[nodiscard]] std::optional<double> of_first_two() && {
    for (size_t held = size_ - 1; held >= 2; --held) {
      if (!hold(held)) {
        return std::nullopt;
      }
    }
    const bool both_change = at(0, 0) > 0.0 && at(1, 1) > 0.0;
    return both_change ? std::optional(std::clamp(at(0, 1), -1.0, 1.0)) : std::nullopt;
  }

 private:
  double& at(size_t i, size_t j) { return r_[i * size_ + j]; }

  bool hold(size_t held) {
    const auto left_of = [&](size_t i) { return 1.0 - at(i, held) * at(i, held); };
    if (left_of(0) < kDecided || left_of(1) < kDecided) {
      return false;
    }
    for (size_t i = 0; i < held; ++i) {
      for (size_t j = 0; j < i; ++j) {
        const double scale = std::sqrt(left_of(i) * left_of(j));
        const double partial =
            scale < kDecided ? 0.0 : (at(i, j) - at(i, held) * at(j, held)) / scale;
        at(i, j) = at(j, i) = partial;
      }
    }
    return true;
  }

  size_t size_;
  std::vector<double> r_;  // [K, K]
};

/// A sample whose values are in order, to be correlated under many weights.
class OrderedSample {
 public:
  explicit OrderedSample(const RankedSample& sample) : num_(sample.x.size()) {
    std::vector<std::span<const double>> all = {sample.x, sample.y};
    all.insert(all.end(), sample.given.begin(), sample.given.end());
    for (const auto& values : all) {
      if (values.size() != num_) {
        fail(ErrorCode::kShape,
             "rank correlation: expected lists of one length, got {} and {} values.", num_,
             values.size());
      }
      orders_.emplace_back(values);
    }
  }

  [[nodiscard]] size_t size() const { return num_; }

  [[nodiscard]] std::optional<double> correlation(const std::vector<double>& weights) const {
    std::vector<std::vector<double>> ranks;
    ranks.reserve(orders_.size());
    for (const auto& order : orders_) {
      ranks.push_back(order.ranks(weights));
    }
    return CorrelationTable(ranks, weights).of_first_two();
  }

 private:
  size_t num_;
  std::vector<RankOrder> orders_;
};

/// Groups counted from 0, for each observation.
std::vector<size_t> number_groups(const RankedSample& sample, size_t& num_groups) {
  std::vector<size_t> numbers(sample.x.size());
  if (sample.groups.empty()) {
    std::iota(numbers.begin(), numbers.end(), size_t{0});
    num_groups = numbers.size();
    return numbers;
  }
  if (sample.groups.size() != sample.x.size()) {
    fail(ErrorCode::kShape, "rank correlation: expected a group for each of {} values, got {}.",
         sample.x.size(), sample.groups.size());
  }
  std::map<int64_t, size_t> known;
  for (size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = known.emplace(sample.groups[i], known.size()).first->second;
  }
  num_groups = known.size();
  return numbers;
}

}  // namespace

std::vector<double> mean_ranks(std::span<const double> values) {
  return RankOrder(values).ranks(std::vector<double>(values.size(), 1.0));
}

double spearman(const RankedSample& sample) {
  const OrderedSample ordered(sample);
  return ordered.correlation(std::vector<double>(ordered.size(), 1.0)).value_or(0.0);
}

RankCorrelation rank_correlation(const RankedSample& sample, uint64_t seed, int64_t resamples) {
  const OrderedSample ordered(sample);
  size_t num_groups = 0;
  const auto group_of = number_groups(sample, num_groups);
  const auto rho = ordered.correlation(std::vector<double>(ordered.size(), 1.0));
  RankCorrelation result{.rho = rho.value_or(0.0)};
  result.low = result.high = result.rho;
  if (!rho || num_groups < static_cast<size_t>(kFewestGroups) || resamples < 1) {
    return result;
  }
  RandomStream random(seed);
  std::vector<double> drawn;
  std::vector<double> times(num_groups);
  std::vector<double> weights(ordered.size());
  for (int64_t i = 0; i < resamples; ++i) {
    std::fill(times.begin(), times.end(), 0.0);
    for (size_t draw = 0; draw < num_groups; ++draw) {
      times[random.below(num_groups)] += 1.0;
    }
    std::transform(group_of.begin(), group_of.end(), weights.begin(),
                   [&](size_t group) { return times[group]; });
    drawn.push_back(ordered.correlation(weights).value_or(0.0));
  }
  std::sort(drawn.begin(), drawn.end());
  result.low = quantile_of(drawn, kTailOfRho);
  result.high = quantile_of(drawn, 1.0 - kTailOfRho);
  result.has_interval = true;
  return result;
}

RankCorrelation combine_seeds(std::span<const RankCorrelation> seeds) {
  if (seeds.size() == 1) {
    return seeds.front();
  }
  std::vector<double> z;
  bool any_says = false;
  for (const auto& seed : seeds) {
    z.push_back(std::atanh(std::clamp(seed.rho, -kMostRho, kMostRho)));
    any_says = any_says || seed.has_interval || seed.rho != 0.0;
  }
  const auto mean = student_difference(z);
  if (!mean || !any_says) {
    return {};
  }
  return {.rho = std::tanh(mean->difference),
          .low = std::tanh(mean->low),
          .high = std::tanh(mean->high),
          .has_interval = true};
}

}  // namespace loopbank
