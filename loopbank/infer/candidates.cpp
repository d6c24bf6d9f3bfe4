#include "loopbank/infer/candidates.h"

#include <algorithm>
#include <cmath>

namespace loopbank {
namespace {

/// Under this many, sorting is quicker than halving.
constexpr std::ptrdiff_t kFewCandidates = 48;

double weight_of(const Candidate& candidate, std::span<const double> weights) {
  return weights[static_cast<size_t>(candidate.token)];
}

double sum_of_weights(std::vector<Candidate>::const_iterator begin,
                      std::vector<Candidate>::const_iterator end, std::span<const double> weights) {
  double sum = 0.0;
  for (auto at = begin; at != end; ++at) {
    sum += weight_of(*at, weights);
  }
  return sum;
}

/// Leaves the fewest first candidates whose weights sum to `needed`. The place where they end lies
/// in a range that is halved, at the cost of a pass over it, until it is worth sorting.
void keep_sum(std::vector<Candidate>& candidates, std::span<const double> weights, double needed) {
  auto begin = candidates.begin();
  auto end = candidates.end();
  double before = 0.0;  // weights in front of the range
  while (end - begin > kFewCandidates) {
    const auto middle = begin + (end - begin) / 2;
    std::nth_element(begin, middle, end, comes_before);
    const double half = sum_of_weights(begin, middle, weights);
    if (before + half >= needed) {
      end = middle;
    } else {
      before += half;
      begin = middle;
    }
  }
  std::sort(begin, end, comes_before);
  for (; begin != end; ++begin) {
    before += weight_of(*begin, weights);
    if (before >= needed) {
      ++begin;
      break;
    }
  }
  candidates.erase(begin, candidates.end());
}

/// The candidates in the order of their ids.
std::vector<TokenId> ids_of(const std::vector<Candidate>& candidates) {
  std::vector<TokenId> ids(candidates.size());
  std::transform(candidates.begin(), candidates.end(), ids.begin(),
                 [](const Candidate& candidate) { return candidate.token; });
  std::sort(ids.begin(), ids.end());
  return ids;
}

/// The tokens that `keeps` takes, by id.
template <typename Keeps>
std::vector<TokenId> ids_where(size_t num_tokens, const Keeps& keeps) {
  std::vector<TokenId> ids(num_tokens);
  size_t count = 0;
  for (size_t i = 0; i < num_tokens; ++i) {
    ids[count] = static_cast<TokenId>(i);
    count += keeps(i) ? 1 : 0;  // without a branch, which would be guessed wrongly
  }
  ids.resize(count);
  return ids;
}

/// A row's weights by ranges of logits, from the largest logit down: the range in which a sum of
/// weights is reached is known without sorting, and alone is sorted.
class Histogram {
 public:
  /// @param lowest  weights under this are left out
  /// @param range   of logits below the largest; what lies deeper shares the last bucket
  Histogram(std::span<const double> logits, std::span<const double> weights, double largest,
            double lowest, double range)
      : logits_(logits),
        weights_(weights),
        largest_(largest),
        lowest_(lowest),
        sums_(kBuckets, 0.0) {
    scale_ = range > 0.0 ? static_cast<double>(kBuckets - 1) / range : 0.0;
    for (size_t i = 0; i < logits.size(); ++i) {
      sums_[bucket(i)] += weights[i] >= lowest ? weights[i] : 0.0;
    }
  }

  /// The last of the fewest first tokens whose weights sum to `needed`.
  [[nodiscard]] Candidate border(double needed) const {
    size_t at = 0;
    double before = 0.0;
    while (at + 1 < kBuckets && before + sums_[at] < needed) {
      before += sums_[at++];
    }
    while (sums_[at] == 0.0) {
      --at;  // rounding left a rest: the last token there is
    }
    std::vector<Candidate> found;
    for (size_t i = 0; i < logits_.size(); ++i) {
      if (bucket(i) == at && weights_[i] >= lowest_) {
        found.push_back({logits_[i], static_cast<TokenId>(i)});
      }
    }
    keep_sum(found, weights_, needed - before);
    return *std::max_element(found.begin(), found.end(), comes_before);
  }

 private:
  static constexpr size_t kBuckets = 4096;

  [[nodiscard]] size_t bucket(size_t token) const {
    constexpr double kLast = static_cast<double>(kBuckets - 1);
    const double depth = (largest_ - logits_[token]) * scale_;
    return static_cast<size_t>(depth < kLast ? depth : kLast);  // one instruction, no branch
  }

  std::span<const double> logits_;
  std::span<const double> weights_;
  double largest_;
  double lowest_;
  std::vector<double> sums_;
  double scale_ = 0.0;
};

/// Under top_p alone, or with min_p.
std::vector<TokenId> keep_top_p(std::span<const double> logits, std::span<const double> weights,
                                const RowScale& scale, const SamplingOptions& options) {
  double left = scale.total;
  if (options.min_p > 0.0) {
    left = 0.0;
    for (const double weight : weights) {
      left += weight >= options.min_p ? weight : 0.0;
    }
  }
  // Tokens under this weight hold less than 1 - top_p together: the border is above them.
  const double unneeded = (1.0 - options.top_p) * left / static_cast<double>(weights.size());
  const double range = -options.temperature * std::log(unneeded);
  const Histogram histogram(logits, weights, scale.largest, options.min_p, range);
  const auto last = histogram.border(options.top_p * left);
  return ids_where(logits.size(), [&](size_t i) {
    const auto id = static_cast<TokenId>(i);
    return (logits[i] > last.logit) | ((logits[i] == last.logit) & (id <= last.token));
  });
}

}  // namespace

template <typename Logit>
std::vector<Candidate> most_probable(std::span<const Logit> logits, size_t count) {
  std::vector<Candidate> found;
  if (count == 0) {
    return found;
  }
  count = std::min(count, logits.size());
  // Twice as many as asked for are gathered, then the better half stays; its last one is the bound
  // that the next must pass. Ids rise, so that an equal logit comes behind what is there.
  const size_t full = std::max<size_t>(2 * count, 64);
  found.reserve(full);
  bool has_bound = false;
  Logit bound{};
  for (size_t i = 0; i < logits.size(); ++i) {
    if (has_bound && !(logits[i] > bound)) {
      continue;
    }
    found.push_back({static_cast<double>(logits[i]), static_cast<TokenId>(i)});
    if (found.size() == full) {
      const auto last = found.begin() + static_cast<std::ptrdiff_t>(count) - 1;
      std::nth_element(found.begin(), last, found.end(), comes_before);
      bound = static_cast<Logit>(last->logit);
      has_bound = true;
      found.resize(count);
    }
  }
  if (found.size() > count) {
    const auto last = found.begin() + static_cast<std::ptrdiff_t>(count) - 1;
    std::nth_element(found.begin(), last, found.end(), comes_before);
    found.resize(count);
  }
  return found;
}

template std::vector<Candidate> most_probable(std::span<const float> logits, size_t count);
template std::vector<Candidate> most_probable(std::span<const double> logits, size_t count);

std::vector<TokenId> truncate(std::span<const double> logits, std::span<const double> weights,
                              const RowScale& scale, const SamplingOptions& options) {
  const bool has_top_k = options.top_k > 0 && static_cast<size_t>(options.top_k) < logits.size();
  if (!has_top_k && options.top_p < 1.0) {
    return keep_top_p(logits, weights, scale, options);
  }
  if (!has_top_k) {
    return ids_where(weights.size(), [&](size_t i) { return weights[i] >= options.min_p; });
  }
  auto candidates = most_probable(logits, static_cast<size_t>(options.top_k));
  std::erase_if(candidates, [&](const Candidate& candidate) {
    return weight_of(candidate, weights) < options.min_p;
  });
  if (options.top_p < 1.0) {
    const double left = sum_of_weights(candidates.begin(), candidates.end(), weights);
    keep_sum(candidates, weights, options.top_p * left);
  }
  return ids_of(candidates);
}

}  // namespace loopbank
