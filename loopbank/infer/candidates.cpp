#include "loopbank/infer/candidates.h"

#include <algorithm>

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

/// Tokens of at least this weight.
std::vector<Candidate> tokens_from(double lowest_weight, std::span<const double> logits,
                                   std::span<const double> weights) {
  std::vector<Candidate> found;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] >= lowest_weight) {
      found.push_back({logits[i], static_cast<TokenId>(i)});
    }
  }
  return found;
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

std::vector<Candidate> truncate(std::span<const double> logits, std::span<const double> weights,
                                double total, const SamplingOptions& options) {
  const bool has_top_k = options.top_k > 0 && static_cast<size_t>(options.top_k) < logits.size();
  const bool has_top_p = options.top_p < 1.0;
  std::vector<Candidate> candidates;
  double left = total;  // the weight of what min_p and top_k leave
  if (has_top_k) {
    candidates = most_probable(logits, static_cast<size_t>(options.top_k));
    std::erase_if(candidates, [&](const Candidate& candidate) {
      return weight_of(candidate, weights) < options.min_p;
    });
    left = sum_of_weights(candidates.begin(), candidates.end(), weights);
  } else {
    if (options.min_p > 0.0) {
      left = 0.0;
      for (const double weight : weights) {
        left += weight >= options.min_p ? weight : 0.0;
      }
    }
    // Tokens under this weight sum to less than 1 - top_p together, wherever the border is: most of
    // a vocabulary need not be gathered. The factor is room for rounding.
    const double unneeded =
        has_top_p ? 0.99 * (1.0 - options.top_p) * left / static_cast<double>(weights.size()) : 0.0;
    candidates = tokens_from(std::max(unneeded, options.min_p), logits, weights);
  }
  if (has_top_p) {
    keep_sum(candidates, weights, options.top_p * left);
  }
  return candidates;
}

}  // namespace loopbank
