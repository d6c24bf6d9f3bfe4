#include "loopbank/study/capacity.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "loopbank/benchmark/biographies.h"
#include "loopbank/support/progress.h"
#include "loopbank/support/statistics.h"

namespace loopbank {
namespace {

Difference interval_of(const ScoreSummary& score) {
  if (const auto over_seeds = student_difference(score.by_seed)) {
    return *over_seeds;
  }
  return normal_difference(score.mean, std::array<double, 1>{score.error.value_or(0.0)});
}

/// The bits are a bound from below on what the weights hold: below 0 it says nothing.
CapacityPoint point_of(const SystemResult& system, const Column& column,
                       const ScoreSummary& score) {
  const auto interval = interval_of(score);
  const auto people = column.facts / kFactsOfPerson;
  const double bits = std::max(score.mean, 0.0) * system.parameters;
  return {.people = people,
          .system = system.name,
          .label = system.label,
          .parameters = system.parameters,
          .facts_bits = static_cast<double>(people) * bits_of_person(),
          .bits = bits,
          .low = std::max(interval.low, 0.0) * system.parameters,
          .high = std::max(interval.high, 0.0) * system.parameters,
          .bits_a_parameter = std::max(score.mean, 0.0),
          .bits_a_layer_parameter = system.embedding_parameters
                                        ? bits / (system.parameters - *system.embedding_parameters)
                                        : 0.0,
          .num_seeds = std::ssize(system.seeds)};
}

}  // namespace

std::vector<StudyConfig> one_part_each(StudyConfig config) {
  if (config.synthetic.task != kBiographiesTask) {
    return {std::move(config)};
  }
  const auto numbers = config.synthetic.people.values;
  std::vector<StudyConfig> parts;
  for (const auto people : numbers) {
    auto& part = parts.emplace_back(config);
    part.synthetic.people = people;
    auto& training = part.run.training;
    for (auto* steps : {&training.steps, &training.validate_every, &training.checkpoint_every}) {
      *steps = (*steps * people + numbers.front() / 2) / numbers.front();
    }
  }
  return parts;
}

std::vector<CapacityPoint> capacity_points(const StudyResult& result) {
  std::vector<CapacityPoint> points;
  for (const auto& part : result.parts) {
    for (const auto& system : part.systems) {
      for (const auto& column : part.columns) {
        const auto* score = system.score(column);
        if (column.measure == Measure::kBitsAParameter && score != nullptr) {
          points.push_back(point_of(system, column, *score));
        }
      }
    }
  }
  std::stable_sort(
      points.begin(), points.end(),
      [](const CapacityPoint& a, const CapacityPoint& b) { return a.people < b.people; });
  return points;
}

std::string format_capacity(const std::vector<CapacityPoint>& points) {
  if (points.empty()) {
    return "";
  }
  size_t width = 12;
  for (const auto& point : points) {
    width = std::max(width, point.label.size());
  }
  auto text = fmt::format("{:>7}  {:<{}} {:>10} {:>9} {:>8} {:>19} {:>6} {:>10} {:>10}\n", "people",
                          "system", width, "parameters", "to know", "known", "95 % interval",
                          "share", "bits/param", "no embed.");
  for (const auto& point : points) {
    const auto interval =
        fmt::format("{} to {}", format_count(point.low), format_count(point.high));
    text += fmt::format("{:>7}  {:<{}} {:>10} {:>9} {:>8} {:>19} {:>5.1f}% {:>10.3f} {:>10.3f}\n",
                        point.people, point.label, width, format_count(point.parameters),
                        format_count(point.facts_bits), format_count(point.bits), interval,
                        100 * point.bits / point.facts_bits, point.bits_a_parameter,
                        point.bits_a_layer_parameter);
  }
  return text + "Bits of the facts about invented people: what there is to know, what is known.\n";
}

}  // namespace loopbank
