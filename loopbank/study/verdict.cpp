#include "loopbank/study/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <utility>

#include "loopbank/study/power.h"
#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

/// From so many seeds on their own scatter is taken for planning; two tell it within a factor of 30.
constexpr int64_t kSeedsOfDeviation = 3;

/// Of the paired t over seeds alone, which is all that a results.json of an earlier program holds, with
/// a guard against seeds that agree by accident: the questions decide where they are not sure.
void complete_student(SystemComparison& comparison) {
  auto& seeds = *comparison.seeds;
  const auto count = static_cast<double>(std::max<int64_t>(comparison.num_seeds, 2));
  seeds.degrees_of_freedom = count - 1;
  if (seeds.excludes_zero() && !comparison.questions.excludes_zero()) {
    static_cast<Difference&>(seeds) = comparison.questions;
  }
  const boost::math::students_t t(seeds.degrees_of_freedom);
  seeds.standard_error = (seeds.high - seeds.low) / 2 / boost::math::quantile(t, 0.975);
  seeds.deviation = seeds.standard_error * std::sqrt(count);
}

/// The verdict of an adjusted p.
void decide(SystemComparison& comparison) {
  const bool is_finding = comparison.over_seeds && comparison.adjusted_p <= kLevel;
  const bool falls = comparison.decisive.difference < 0;
  comparison.verdict = !is_finding                           ? Verdict::kOpen
                       : falls == comparison.lower_is_better ? Verdict::kBetter
                                                             : Verdict::kWorse;
}

void turn_round(Difference& difference) {
  difference.difference = -difference.difference;
  std::swap(difference.low, difference.high);
  difference.low = -difference.low;
  difference.high = -difference.high;
}

/// `an effect of this size takes about 6 seeds`; empty where the number is no news.
std::string seeds_text(const SystemComparison& comparison) {
  if (!comparison.deviation()) {
    return "how many it takes is not known: run three";
  }
  if (!comparison.seeds_needed) {
    return fmt::format("an effect of this size takes more than {} seeds", kMostSeeds);
  }
  return *comparison.seeds_needed <= comparison.num_seeds
             ? ""
             : fmt::format("an effect of this size takes about {} seeds", *comparison.seeds_needed);
}

}  // namespace

std::string_view name_of(Verdict verdict) {
  return verdict == Verdict::kBetter  ? "better"
         : verdict == Verdict::kWorse ? "worse"
                                      : "not told apart";
}

Verdict verdict_on(const Difference& difference, bool lower_is_better) {
  if (!difference.excludes_zero()) {
    return Verdict::kOpen;
  }
  return (difference.high < 0.0) == lower_is_better ? Verdict::kBetter : Verdict::kWorse;
}

std::optional<double> SystemComparison::deviation() const {
  return seeds && num_seeds >= kSeedsOfDeviation ? seeds->deviation : earlier_deviation;
}

void judge(SystemComparison& comparison, bool lower_is_better) {
  auto& seeds = comparison.seeds;
  if (seeds && seeds->degrees_of_freedom == 0.0) {
    complete_student(comparison);
  }
  comparison.lower_is_better = lower_is_better;
  comparison.over_seeds = seeds.has_value();
  comparison.decisive = seeds ? static_cast<const Difference&>(*seeds) : comparison.questions;
  comparison.adjusted_p = seeds ? seeds->p : 1.0;
  comparison.family_size = 1;
  comparison.smallest_effect.reset();
  comparison.seeds_needed.reset();
  if (seeds) {
    comparison.smallest_effect = smallest_effect(seeds->standard_error, seeds->degrees_of_freedom);
  }
  const auto deviation = comparison.deviation();
  if (deviation && *deviation > 0 && comparison.decisive.difference != 0) {
    comparison.seeds_needed = seeds_needed(
        comparison.decisive.difference,
        {.deviation = *deviation, .lasting_variance = seeds ? seeds->lasting_variance : 0.0});
  }
  decide(comparison);
}

SystemComparison turned_round(SystemComparison comparison) {
  std::swap(comparison.here, comparison.there);
  turn_round(comparison.questions);
  if (comparison.seeds) {
    turn_round(*comparison.seeds);
  }
  return comparison;
}

std::optional<SeedDifference> over_seeds_alone(std::span<const double> by_seed) {
  const auto student = student_difference(by_seed);
  if (!student) {
    return std::nullopt;
  }
  SeedDifference seeds;
  static_cast<Difference&>(seeds) = *student;
  return seeds;
}

void judge_family(const std::vector<std::vector<SystemComparison*>>& tests) {
  std::vector<const std::vector<SystemComparison*>*> made;
  std::vector<double> p;
  for (const auto& test : tests) {
    if (test.front()->seeds) {
      made.push_back(&test);
      p.push_back(test.front()->seeds->p);
    }
  }
  const auto adjusted = holm_adjusted(p);
  for (size_t i = 0; i < made.size(); ++i) {
    for (auto* comparison : *made[i]) {
      comparison->adjusted_p = adjusted[i];
      comparison->family_size = static_cast<int64_t>(made.size());
      decide(*comparison);
    }
  }
}

SystemComparison compare_seeds(const std::vector<TaskDifferences>& tasks, double here, double there,
                               bool lower_is_better) {
  const auto mixed = mixed_difference(tasks);
  SystemComparison comparison{.here = here,
                              .there = there,
                              .questions = mixed.questions,
                              .seeds = mixed.seeds,
                              .num_seeds = std::ssize(mixed.by_seed)};
  judge(comparison, lower_is_better);
  return comparison;
}

std::string_view interval_source(const SystemComparison& comparison) {
  return comparison.over_seeds                                ? " over seeds"
         : comparison.num_seeds == 1 && !comparison.estimated ? " over the questions of one seed"
                                                              : "";
}

std::string p_text(double p) {
  return p < 0.001 ? "p < 0.001" : fmt::format("p = {:.3f}", p);
}

std::string how_sure(const SystemComparison& comparison) {
  auto text = comparison.num_seeds == 0 ? std::string("no common seed")
                                        : plural(comparison.num_seeds, "seed");
  if (comparison.estimated && comparison.num_seeds > 0 && !comparison.over_seeds) {
    text += ", not paired";
  }
  if (comparison.over_seeds) {
    text += comparison.family_size > 1 ? ", adjusted " : ", ";
    text += p_text(comparison.adjusted_p);
  }
  const auto more = comparison.verdict == Verdict::kOpen ? seeds_text(comparison) : "";
  return more.empty() ? text : text + "; " + more;
}

std::string describe(const SystemComparison& comparison) {
  return fmt::format(
      "{:.3f} against {:.3f}, {:+.1f} % (95 % interval of the difference{} {:+.3f} to {:+.3f}{}; "
      "{})",
      comparison.here, comparison.there, 100 * comparison.relative(), interval_source(comparison),
      comparison.decisive.low, comparison.decisive.high, comparison.estimated ? ", estimated" : "",
      how_sure(comparison));
}

}  // namespace loopbank
