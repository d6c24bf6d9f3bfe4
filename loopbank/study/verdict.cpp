#include "loopbank/study/verdict.h"

#include <fmt/format.h>

#include <iterator>

namespace loopbank {
namespace {

/// Of a difference, this one minus the other.
Verdict verdict_on(const Difference& difference, bool lower_is_better) {
  if (!difference.excludes_zero()) {
    return Verdict::kOpen;
  }
  return (difference.high < 0.0) == lower_is_better ? Verdict::kBetter : Verdict::kWorse;
}

}  // namespace

std::string_view name_of(Verdict verdict) {
  return verdict == Verdict::kBetter  ? "better"
         : verdict == Verdict::kWorse ? "worse"
                                      : "too near to tell";
}

void judge(SystemComparison& comparison, bool lower_is_better) {
  const auto& questions = comparison.questions;
  const auto& seeds = comparison.seeds;
  comparison.over_seeds = seeds && (questions.excludes_zero() || !seeds->excludes_zero());
  comparison.decisive = comparison.over_seeds ? *seeds : questions;
  comparison.verdict = verdict_on(comparison.decisive, lower_is_better);
}

SystemComparison compare_seeds(const std::vector<Resampled>& seeds, bool lower_is_better) {
  std::vector<double> by_seed;
  for (const auto& seed : seeds) {
    by_seed.push_back(seed.b - seed.a);
  }
  const auto questions = describe_difference(mean_of(seeds));
  SystemComparison comparison{.here = questions.b,
                              .there = questions.a,
                              .questions = questions,
                              .seeds = student_difference(by_seed),
                              .num_seeds = std::ssize(seeds)};
  judge(comparison, lower_is_better);
  return comparison;
}

std::string_view interval_source(const SystemComparison& comparison) {
  return comparison.over_seeds ? " over seeds" : comparison.seeds ? " over questions" : "";
}

std::string describe(const SystemComparison& comparison) {
  return fmt::format(
      "{:.3f} against {:.3f}, {:+.1f} % (95 % interval of the difference{} {:+.3f} to {:+.3f}{})",
      comparison.here, comparison.there, 100 * comparison.relative(), interval_source(comparison),
      comparison.decisive.low, comparison.decisive.high, comparison.estimated ? ", estimated" : "");
}

}  // namespace loopbank
