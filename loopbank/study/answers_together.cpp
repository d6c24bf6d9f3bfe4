// Question 3: how loops and memory interact, from the corners of the grid.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "loopbank/study/answers.h"
#include "loopbank/study/grid.h"
#include "loopbank/support/progress.h"
#include "loopbank/support/statistics.h"

namespace loopbank {
namespace {

/// The four corners of the grid: few loops without and with memory, many without and with it.
using Corners = std::array<GridCell, 4>;

/// Null for a system without a score, or whose score does not tell how sure it is.
const GridCell* cell_at(const std::vector<GridCell>& cells, int64_t loops, int64_t slots,
                        const Column& column) {
  for (const auto& cell : cells) {
    const auto& scores = cell.system->scores;
    const auto score = scores.find(column.key);
    if (cell.loops == loops && cell.slots == slots && score != scores.end() &&
        score->second.error) {
      return &cell;
    }
  }
  return nullptr;
}

/// Nothing where one is missing.
std::optional<Corners> corners_of(const std::vector<GridCell>& cells, const Column& column) {
  if (cells.empty()) {
    return std::nullopt;
  }
  const auto [few, many] = std::minmax_element(cells.begin(), cells.end(),
                                               [](auto& a, auto& b) { return a.loops < b.loops; });
  const auto [none, most] = std::minmax_element(cells.begin(), cells.end(),
                                                [](auto& a, auto& b) { return a.slots < b.slots; });
  const auto* a = cell_at(cells, few->loops, none->slots, column);
  const auto* b = cell_at(cells, few->loops, most->slots, column);
  const auto* c = cell_at(cells, many->loops, none->slots, column);
  const auto* d = cell_at(cells, many->loops, most->slots, column);
  if (few->loops == many->loops || none->slots == most->slots || a == nullptr || b == nullptr ||
      c == nullptr || d == nullptr) {
    return std::nullopt;
  }
  return Corners{*a, *b, *c, *d};
}

/// The score of a system with a seed; nothing where that is not done.
std::optional<double> score_with(const GridCell& cell, const Column& column, int64_t seed) {
  const auto& seeds = cell.system->seeds;
  const auto place =
      static_cast<size_t>(std::find(seeds.begin(), seeds.end(), seed) - seeds.begin());
  const auto& by_seed = cell.system->scores.at(column.key).by_seed;
  return place < seeds.size() && place < by_seed.size() ? std::optional(by_seed[place])
                                                        : std::nullopt;
}

/// What memory changes with many loops, `here`, against what it changes with few, `there`; better:
/// memory helps more with many loops. Over the seeds that all four corners are done for; without
/// any, over all of each. The questions' interval is of the scores' standard errors.
/// @param same_questions  all seeds share them, so that more seeds tell no more of them
SystemComparison interaction_of(const Corners& corners, const Column& column, bool same_questions) {
  std::vector<double> at_few;
  std::vector<double> at_many;
  std::vector<double> by_seed;
  const auto add = [&](const std::vector<double>& scores) {
    at_few.push_back(scores[1] - scores[0]);
    at_many.push_back(scores[3] - scores[2]);
    by_seed.push_back(at_many.back() - at_few.back());
  };
  for (const auto seed : corners[0].system->seeds) {
    std::vector<double> scores;
    for (const auto& cell : corners) {
      if (const auto score = score_with(cell, column, seed)) {
        scores.push_back(*score);
      }
    }
    if (scores.size() == corners.size()) {
      add(scores);
    }
  }
  const auto num_seeds = std::ssize(by_seed);
  std::vector<double> means;
  std::vector<double> errors;
  const auto sets = same_questions ? 1.0 : std::max<double>(1.0, double(num_seeds));
  for (const auto& cell : corners) {
    const auto& score = cell.system->scores.at(column.key);
    means.push_back(score.mean);
    errors.push_back(*score.error / std::sqrt(sets));  // the score's is of one seed's questions
  }
  if (num_seeds == 0) {
    add(means);
  }
  SystemComparison comparison{.here = mean_of(at_many),
                              .there = mean_of(at_few),
                              .questions = normal_difference(mean_of(by_seed), errors),
                              .seeds = over_seeds_alone(by_seed),
                              .num_seeds = num_seeds,
                              .estimated = true};
  judge(comparison, column.lower_is_better());
  return comparison;
}

/// The interaction in one column.
struct Interaction {
  Corners corners;
  const Column* column;
  SystemComparison comparison;
};

/// In the columns that have all corners, one family of tests.
std::vector<Interaction> interactions_of(const PartResult& part) {
  const auto cells = grid_of(part);
  std::vector<Interaction> found;
  const bool same_questions = part.name == "text";  // else each seed has a world of its own
  for (const char* kind : {"reasoning", "knowledge"}) {
    const auto* column = find_column(part.columns, kind, Measure::kBpb);
    if (const auto corners = column != nullptr ? corners_of(cells, *column) : std::nullopt) {
      found.push_back({*corners, column, interaction_of(*corners, *column, same_questions)});
    }
  }
  std::vector<std::vector<SystemComparison*>> tests;
  for (auto& one : found) {
    tests.push_back({&one.comparison});
  }
  judge_family(tests);
  return found;
}

std::string describe_interaction(const Corners& corners, const SystemComparison& comparison,
                                 const Column& column) {
  const auto& decisive = comparison.decisive;
  return fmt::format(
      "In {} memory ({} slots) moves the score, lower is better, by {:+.3f} with {} and by "
      "{:+.3f} with {}: {} (difference {:+.3f}, 95 % interval{} {:+.3f} to {:+.3f}{}). ",
      column.title, corners.back().slots, comparison.there, plural(corners.front().loops, "loop"),
      comparison.here, corners.back().loops,
      comparison.verdict == Verdict::kBetter  ? "memory is worth more with more loops"
      : comparison.verdict == Verdict::kWorse ? "memory is worth less with more loops"
                                              : "no clear difference",
      decisive.difference, interval_source(comparison), decisive.low, decisive.high,
      comparison.over_seeds ? "" : ", estimated");
}

}  // namespace

Answer answer_together(const PartResult& part) {
  Answer answer;
  std::vector<Verdict> verdicts;
  for (const auto& [corners, column, comparison] : interactions_of(part)) {
    verdicts.push_back(comparison.verdict);
    answer.text += describe_interaction(corners, comparison, *column);
    answer.more = caveat_of_seeds(part, comparison.num_seeds);
  }
  if (verdicts.empty()) {
    answer.text = "It takes a grid of systems with few and many loops, without and with memory.";
    return answer;
  }
  answer.text.pop_back();
  const bool helps = std::count(verdicts.begin(), verdicts.end(), Verdict::kBetter) > 0;
  const bool replaces = std::count(verdicts.begin(), verdicts.end(), Verdict::kWorse) > 0;
  answer.tone = replaces ? Tone::kPartly : helps ? Tone::kYes : Tone::kOpen;
  answer.headline = helps && replaces ? "It depends on the task"
                    : helps           ? "Each makes the other worth more"
                    : replaces        ? "Each takes from what the other adds"
                                      : "Not told apart";
  return answer;
}

}  // namespace loopbank
