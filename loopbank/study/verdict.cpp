#include "loopbank/study/verdict.h"

#include <fmt/format.h>

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
