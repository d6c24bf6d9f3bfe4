// Question 3: how loops and memory interact, from the corners of the grid.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "loopbank/study/answers.h"
#include "loopbank/study/figures_cost.h"

namespace loopbank {
namespace {

/// Half of a 95 % interval around the mean of paired values of n seeds (Student's t).
double half_interval(const std::vector<double>& values) {
  constexpr std::array<double, 9> kStudent95 = {12.706, 4.303, 3.182, 2.776, 2.571,
                                                2.447,  2.365, 2.306, 2.262};
  const double mean = mean_of(values);
  double squares = 0.0;
  for (const double value : values) {
    squares += (value - mean) * (value - mean);
  }
  const size_t degrees = values.size() - 1;
  const double quantile = degrees <= kStudent95.size() ? kStudent95[degrees - 1] : 2.2;
  return quantile * std::sqrt(squares / static_cast<double>(degrees * values.size()));
}

/// What memory changes at the fewest loops and at the most, and how far the two differ.
struct Interaction {
  GridCell few, few_memory, many, many_memory;
  double at_few = 0.0;
  double at_many = 0.0;
  std::optional<double> half = {};  ///< of the 95 % interval of the difference
  std::string source = {};          ///< of the interval
};

const GridCell* cell_at(const std::vector<GridCell>& cells, double loops, double slots,
                        const ScoreColumn& column) {
  for (const auto& cell : cells) {
    if (cell.loops == loops && cell.slots == slots && score_of(*cell.system, column.key)) {
      return &cell;
    }
  }
  return nullptr;
}

/// The four corners of the grid; nothing where one is missing.
std::optional<Interaction> corners(const std::vector<GridCell>& cells, const ScoreColumn& column) {
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

std::optional<Interaction> interaction_of(const std::vector<GridCell>& cells,
                                          const ScoreColumn& column) {
  auto found = corners(cells, column);
  if (!found) {
    return found;
  }
  const auto few = *score_of(*found->few.system, column.key);
  const auto few_memory = *score_of(*found->few_memory.system, column.key);
  const auto many = *score_of(*found->many.system, column.key);
  const auto many_memory = *score_of(*found->many_memory.system, column.key);
  found->at_few = few_memory.mean - few.mean;
  found->at_many = many_memory.mean - many.mean;
  const size_t seeds = std::min({few.by_seed.size(), few_memory.by_seed.size(), many.by_seed.size(),
                                 many_memory.by_seed.size()});
  if (seeds > 1) {
    std::vector<double> by_seed;
    for (size_t i = 0; i < seeds; ++i) {
      by_seed.push_back((many_memory.by_seed[i] - many.by_seed[i]) -
                        (few_memory.by_seed[i] - few.by_seed[i]));
    }
    found->half = half_interval(by_seed);
    found->source = fmt::format("over {} seeds", seeds);
  } else if (few.standard_error && few_memory.standard_error && many.standard_error &&
             many_memory.standard_error) {
    found->half = 1.96 * std::hypot(std::hypot(*few.standard_error, *few_memory.standard_error),
                                    std::hypot(*many.standard_error, *many_memory.standard_error));
    found->source = "estimated over the questions";
  }
  return found;
}

/// +1 where memory helps more with many loops than with few, -1 where less, 0 where that is open.
int sign_of(const Interaction& interaction, const ScoreColumn& column) {
  const double difference = interaction.at_many - interaction.at_few;
  if (!interaction.half || std::abs(difference) <= *interaction.half) {
    return 0;
  }
  return (difference > 0) == column.lower_is_better ? -1 : 1;
}

std::string describe(const Interaction& interaction, const ScoreColumn& column) {
  const int sign = sign_of(interaction, column);
  const double difference = interaction.at_many - interaction.at_few;
  const auto interval =
      interaction.half
          ? fmt::format(", 95 % interval {:+.3f} to {:+.3f} {}", difference - *interaction.half,
                        difference + *interaction.half, interaction.source)
          : std::string(", without an interval");
  return fmt::format(
      "In {} memory ({:.0f} slots) moves the score, lower is better, by {:+.3f} with {:.0f} loop{} "
      "and by {:+.3f} "
      "with {:.0f}: {} (difference {:+.3f}{}). ",
      column.title, interaction.many_memory.slots, interaction.at_few, interaction.few.loops,
      interaction.few.loops == 1 ? "" : "s", interaction.at_many, interaction.many.loops,
      sign > 0   ? "memory is worth more with more loops"
      : sign < 0 ? "memory is worth less with more loops"
                 : "no clear difference",
      difference, interval);
}

}  // namespace

Answer answer_together(const Json& part) {
  const auto cells = grid_of(part);
  Answer answer;
  std::vector<int> signs;
  for (const char* kind : {"reasoning", "knowledge"}) {
    const auto column = find_column(part, kind, "bpb");
    const auto interaction = column ? interaction_of(cells, *column) : std::nullopt;
    if (interaction) {
      signs.push_back(sign_of(*interaction, *column));
      answer.text += describe(*interaction, *column);
    }
  }
  if (signs.empty()) {
    answer.text = "It takes a grid of systems with few and many loops, without and with memory.";
    return answer;
  }
  answer.text.pop_back();
  answer.more = one_seed_warning(part);
  const bool helps = std::count(signs.begin(), signs.end(), 1) > 0;
  const bool replaces = std::count(signs.begin(), signs.end(), -1) > 0;
  answer.tone = replaces ? Tone::kPartly : helps ? Tone::kYes : Tone::kOpen;
  answer.headline = helps && replaces ? "It depends on the task"
                    : helps           ? "Each makes the other worth more"
                    : replaces        ? "Each takes from what the other adds"
                                      : "Too near to tell";
  return answer;
}

}  // namespace loopbank
