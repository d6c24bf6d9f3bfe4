// Question 3: how loops and memory interact, from the corners of the grid.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "loopbank/study/answers.h"
#include "loopbank/study/grid.h"
#include "loopbank/support/statistics.h"

namespace loopbank {
namespace {

/// What memory changes at the fewest loops and at the most, and how far the two differ.
struct Interaction {
  GridCell few, few_memory, many, many_memory;
  double at_few = 0.0;
  double at_many = 0.0;
  std::optional<Difference> difference = {};  ///< at_many - at_few
  std::string source = {};                    ///< of its interval
  Verdict verdict = Verdict::kOpen;           ///< better: memory helps more with many loops
};

const GridCell* cell_at(const std::vector<GridCell>& cells, int64_t loops, int64_t slots,
                        const Column& column) {
  for (const auto& cell : cells) {
    if (cell.loops == loops && cell.slots == slots && cell.system->scores.contains(column.key)) {
      return &cell;
    }
  }
  return nullptr;
}

/// The four corners of the grid; nothing where one is missing.
std::optional<Interaction> corners(const std::vector<GridCell>& cells, const Column& column) {
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
  return Interaction{.few = *a, .few_memory = *b, .many = *c, .many_memory = *d};
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

/// As in verdict.h: over the seeds that all four are done for, from two on; else over the questions,
/// here from the scores' standard errors.
void judge_interaction(Interaction& found, const Column& column) {
  const std::array<const GridCell*, 4> cells = {&found.few, &found.few_memory, &found.many,
                                                &found.many_memory};
  std::vector<double> by_seed;
  for (const auto seed : found.few.system->seeds) {
    std::vector<double> scores;
    for (const auto* cell : cells) {
      if (const auto score = score_with(*cell, column, seed)) {
        scores.push_back(*score);
      }
    }
    if (scores.size() == cells.size()) {
      by_seed.push_back((scores[3] - scores[2]) - (scores[1] - scores[0]));
    }
  }
  std::vector<double> errors;
  for (const auto* cell : cells) {
    if (const auto error = cell->system->scores.at(column.key).error) {
      errors.push_back(*error);
    }
  }
  if (by_seed.size() > 1) {
    found.difference = student_difference(by_seed);
    found.source = fmt::format("over {} seeds", by_seed.size());
  } else if (errors.size() == cells.size()) {
    found.difference = normal_difference(found.at_many - found.at_few, errors);
    found.source = "estimated over the questions";
  }
  if (found.difference) {
    found.verdict = verdict_on(*found.difference, column.is_bpb);
  }
}

std::optional<Interaction> interaction_of(const std::vector<GridCell>& cells,
                                          const Column& column) {
  auto found = corners(cells, column);
  if (found) {
    const auto mean = [&](const GridCell& cell) { return cell.system->scores.at(column.key).mean; };
    found->at_few = mean(found->few_memory) - mean(found->few);
    found->at_many = mean(found->many_memory) - mean(found->many);
    judge_interaction(*found, column);
  }
  return found;
}

std::string describe_interaction(const Interaction& interaction, const Column& column) {
  const double difference = interaction.at_many - interaction.at_few;
  const auto interval =
      interaction.difference
          ? fmt::format(", 95 % interval {:+.3f} to {:+.3f} {}", interaction.difference->low,
                        interaction.difference->high, interaction.source)
          : std::string(", without an interval");
  return fmt::format(
      "In {} memory ({} slots) moves the score, lower is better, by {:+.3f} with {} loop{} and by "
      "{:+.3f} with {}: {} (difference {:+.3f}{}). ",
      column.title, interaction.many_memory.slots, interaction.at_few, interaction.few.loops,
      interaction.few.loops == 1 ? "" : "s", interaction.at_many, interaction.many.loops,
      interaction.verdict == Verdict::kBetter  ? "memory is worth more with more loops"
      : interaction.verdict == Verdict::kWorse ? "memory is worth less with more loops"
                                               : "no clear difference",
      difference, interval);
}

}  // namespace

Answer answer_together(const PartResult& part) {
  const auto cells = grid_of(part);
  Answer answer;
  std::vector<Verdict> verdicts;
  for (const char* kind : {"reasoning", "knowledge"}) {
    const auto* column = find_column(part.columns, kind, /*is_bpb=*/true);
    const auto found = column != nullptr ? interaction_of(cells, *column) : std::nullopt;
    if (found) {
      verdicts.push_back(found->verdict);
      answer.text += describe_interaction(*found, *column);
    }
  }
  if (verdicts.empty()) {
    answer.text = "It takes a grid of systems with few and many loops, without and with memory.";
    return answer;
  }
  answer.text.pop_back();
  answer.more = part.seeds.size() == 1 ? kOneSeedWarning : "";
  const bool helps = std::count(verdicts.begin(), verdicts.end(), Verdict::kBetter) > 0;
  const bool replaces = std::count(verdicts.begin(), verdicts.end(), Verdict::kWorse) > 0;
  answer.tone = replaces ? Tone::kPartly : helps ? Tone::kYes : Tone::kOpen;
  answer.headline = helps && replaces ? "It depends on the task"
                    : helps           ? "Each makes the other worth more"
                    : replaces        ? "Each takes from what the other adds"
                                      : "Too near to tell";
  return answer;
}

}  // namespace loopbank
