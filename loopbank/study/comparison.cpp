#include "loopbank/study/comparison.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace loopbank {
namespace {

constexpr double kNormal95 = 1.96;

int verdict_of(double low, double high, bool lower_is_better) {
  const int sign = low > 0 ? 1 : high < 0 ? -1 : 0;
  return lower_is_better ? -sign : sign;
}

/// Takes {"difference", "low", "high", "p", "seeds"}; `sign` -1 turns the comparison round.
bool take_interval(const Json& json, double sign, SystemComparison& comparison) {
  const auto difference = number_at(json, "difference");
  const auto low = number_at(json, "low");
  const auto high = number_at(json, "high");
  if (!difference || !low || !high) {
    return false;
  }
  comparison.difference = sign * *difference;
  comparison.low = sign > 0 ? *low : -*high;
  comparison.high = sign > 0 ? *high : -*low;
  comparison.p = number_at(json, "p");
  const auto& seeds = member(json, "seeds");
  const auto seeds_low = number_at(seeds, "low");
  const auto seeds_high = number_at(seeds, "high");
  if (seeds_low && seeds_high) {
    comparison.seeds = {sign > 0 ? *seeds_low : -*seeds_high, sign > 0 ? *seeds_high : -*seeds_low};
  }
  return true;
}

bool take_claim(const Json& part, std::string_view system, std::string_view other,
                const ScoreColumn& column, SystemComparison& comparison) {
  for (const auto& claim : member(part, "claims")) {
    const auto better = text_at(claim, "better");
    const auto worse = text_at(claim, "worse");
    const bool same = better == system && worse == other;
    const bool turned = better == other && worse == system;
    if (text_at(claim, "column") == column.key && (same || turned) &&
        take_interval(claim, same ? 1 : -1, comparison)) {
      return true;
    }
  }
  return false;
}

}  // namespace

int SystemComparison::verdict() const {
  return verdict_of(low, high, lower_is_better);
}

int SystemComparison::verdict_over_seeds() const {
  const int over_questions = verdict();
  return seeds && verdict_of(seeds->low, seeds->high, lower_is_better) == over_questions
             ? over_questions
             : 0;
}

std::optional<SystemComparison> compare_systems(const Json& part, std::string_view system,
                                                std::string_view other, const ScoreColumn& column) {
  const auto* here = find_system(part, system);
  const auto* there = find_system(part, other);
  if (here == nullptr || there == nullptr) {
    return std::nullopt;
  }
  const auto score = score_of(*here, column.key);
  const auto other_score = score_of(*there, column.key);
  if (!score || !other_score) {
    return std::nullopt;
  }
  SystemComparison comparison{
      .here = score->mean, .there = other_score->mean, .lower_is_better = column.lower_is_better};
  const auto& against = member(member(member(*here, "against"), other), column.key);
  if (take_interval(against, 1, comparison) ||
      take_claim(part, system, other, column, comparison)) {
    return comparison;
  }
  if (!score->standard_error || !other_score->standard_error) {
    return std::nullopt;
  }
  const double error = kNormal95 * std::hypot(*score->standard_error, *other_score->standard_error);
  comparison.difference = score->mean - other_score->mean;
  comparison.low = comparison.difference - error;
  comparison.high = comparison.difference + error;
  comparison.estimated = true;
  return comparison;
}

std::string describe_comparison(const SystemComparison& comparison) {
  const auto& seeds = comparison.seeds;
  return fmt::format(
      "{:.3f} against {:.3f}, {:+.1f} % (95 % interval of the difference{} {:+.3f} to "
      "{:+.3f}{})",
      comparison.here, comparison.there, 100 * comparison.relative(), seeds ? " over seeds" : "",
      seeds ? seeds->low : comparison.low, seeds ? seeds->high : comparison.high,
      comparison.estimated ? ", estimated" : "");
}

}  // namespace loopbank
