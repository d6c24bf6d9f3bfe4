#include "loopbank/eval/metrics.h"

#include <algorithm>
#include <numbers>

#include "loopbank/support/error.h"
#include "loopbank/support/statistics.h"
#include "loopbank/support/utf8.h"

namespace loopbank {
namespace {

/// What the metric maximises.
double preference(Metric metric, const ContinuationScore& score) {
  switch (metric) {
    case Metric::kAccRaw:
      return score.log_probability;
    case Metric::kAccPerChar:
      return score.log_probability / static_cast<double>(score.characters);
    case Metric::kAccPerToken:
      return score.log_probability / static_cast<double>(score.tokens);
    case Metric::kAccPerByte:
      return score.log_probability / static_cast<double>(score.bytes);
    case Metric::kAccUncond:
      return score.log_probability - score.unconditioned;
    case Metric::kAccGreedy:
    case Metric::kBitsPerByte:
      break;
  }
  fail(ErrorCode::kConfig, "choose: expected a metric that compares continuations, got {}.",
       metric_name(metric));
}

}  // namespace

std::string_view metric_name(Metric metric) {
  switch (metric) {
    case Metric::kAccRaw:
      return "acc_raw";
    case Metric::kAccPerChar:
      return "acc_per_char";
    case Metric::kAccPerToken:
      return "acc_per_token";
    case Metric::kAccPerByte:
      return "acc_per_byte";
    case Metric::kAccUncond:
      return "acc_uncond";
    case Metric::kAccGreedy:
      return "acc_greedy";
    case Metric::kBitsPerByte:
      break;
  }
  return "bits_per_byte_corr";
}

int64_t choose(Metric metric, std::span<const ContinuationScore> scores) {
  if (metric == Metric::kAccGreedy) {
    return 0;
  }
  int64_t best = 0;
  for (size_t i = 1; i < scores.size(); ++i) {
    if (preference(metric, scores[i]) > preference(metric, scores[static_cast<size_t>(best)])) {
      best = static_cast<int64_t>(i);
    }
  }
  return best;
}

double bits_per_byte(const ContinuationScore& score) {
  return -std::numbers::log2e * score.log_probability / static_cast<double>(score.bytes);
}

double known_bits(const ContinuationScore& score, double prior_bits) {
  return prior_bits + std::numbers::log2e * score.log_probability;
}

double instance_value(Metric metric, std::span<const ContinuationScore> scores, int64_t label) {
  const auto& correct = scores[static_cast<size_t>(label)];
  if (metric == Metric::kBitsPerByte) {
    return bits_per_byte(correct);
  }
  if (metric == Metric::kAccGreedy) {
    return correct.greedy ? 1.0 : 0.0;
  }
  return choose(metric, scores) == label ? 1.0 : 0.0;
}

Estimate estimate_mean(std::span<const double> values) {
  return {.mean = mean_of(values), .standard_error = standard_error_of(values)};
}

int64_t count_characters(std::string_view text) {
  return std::max<int64_t>(1, count_code_points(text));
}

}  // namespace loopbank
