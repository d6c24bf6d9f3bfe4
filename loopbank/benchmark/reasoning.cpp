#include "loopbank/benchmark/reasoning.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "loopbank/support/error.h"
#include "loopbank/support/shuffle.h"

namespace loopbank {
namespace {

constexpr int64_t kProblemsPerDocument = 6;
/// Draws after which a cell counts as having no (further) problem of the side that is wanted.
constexpr int64_t kMaxDraws = 5000;

/// A kind at one difficulty.
struct Cell {
  ReasoningKind kind;
  int64_t difficulty;
};

std::vector<Cell> cells_of(const ReasoningRange& range) {
  std::vector<Cell> cells;
  for (auto k = range.min_difficulty; k <= range.max_difficulty; ++k) {
    cells.push_back({range.kind, k});
  }
  return cells;
}

/// A problem of the wanted side of the partition, where the cell has one.
std::optional<Problem> draw_on_side(const Cell& cell, bool held_out, double share,
                                    RandomStream& random) {
  for (int64_t i = 0; i < kMaxDraws; ++i) {
    auto problem = draw_problem(cell.kind, cell.difficulty, random);
    if (is_held_out(problem, share) == held_out) {
      return problem;
    }
  }
  return std::nullopt;
}

/// A held-out problem of the kind that is not in `seen`, which it joins, where there is one.
std::optional<Problem> draw_unseen(const ReasoningRange& range, double share,
                                   std::set<std::string>& seen, RandomStream& random) {
  const auto cells = cells_of(range);
  for (int64_t i = 0; i < kMaxDraws; ++i) {
    const auto& cell = cells[random.below(cells.size())];
    auto problem = draw_problem(cell.kind, cell.difficulty, random);
    if (is_held_out(problem, share) && seen.insert(problem.canonical).second) {
      return problem;
    }
  }
  return std::nullopt;
}

/// Three wrong answers: a mistake of the kind, then answers with one digit wrong, all as long as
/// the correct one, so that length tells nothing. More mistakes would put a model that has learned
/// a part of the steps below one that has learned none.
std::vector<int64_t> wrong_answers(const Problem& problem, RandomStream& random) {
  const auto correct = std::to_string(problem.answer);
  std::vector<int64_t> wrong;
  const auto is_full = [&] { return wrong.size() + 1 == static_cast<size_t>(kBenchmarkChoices); };
  const auto consider = [&](int64_t value) {
    if (!is_full() && value != problem.answer && value >= 0 &&
        std::to_string(value).size() == correct.size() &&
        std::find(wrong.begin(), wrong.end(), value) == wrong.end()) {
      wrong.push_back(value);
    }
  };
  auto mistakes = problem.mistakes;
  shuffle(mistakes, random);
  for (size_t i = 0; i < mistakes.size() && wrong.empty(); ++i) {
    consider(mistakes[i]);
  }
  while (!is_full()) {
    auto digits = correct;
    digits[random.below(digits.size())] = static_cast<char>('0' + random.below(10));
    consider(std::stoll(digits));
  }
  return wrong;
}

BenchmarkInstance instance_of(const Problem& problem, int64_t label, int64_t index,
                              RandomStream& random) {
  std::vector<std::string> choices;
  for (const auto wrong : wrong_answers(problem, random)) {
    choices.push_back(std::to_string(wrong));
  }
  choices.insert(choices.begin() + label, std::to_string(problem.answer));
  return {.task = "reasoning",
          .id = fmt::format("reasoning-{}-{}-{}", name_of(problem.kind), problem.difficulty, index),
          .kind = std::string(name_of(problem.kind)),
          .difficulty = problem.difficulty,
          .context = problem.text,
          .choices = std::move(choices),
          .label = label,
          .steps = problem.steps};
}

}  // namespace

ReasoningRange parse_reasoning_range(const std::string& text) {
  const auto refuse = [&] {
    fail(ErrorCode::kConfig,
         "kinds: expected KIND:MIN-MAX such as addition:1-3, got \"{}\". Kinds are addition, sum, "
         "chain, comparison and product.",
         text);
  };
  const auto colon = text.find(':');
  if (colon == std::string::npos) {
    refuse();
  }
  const auto numbers = text.substr(colon + 1);
  const auto dash = numbers.find('-');
  const auto number = [&](const std::string& digits) {
    if (digits.empty() || digits.size() > 3 ||
        digits.find_first_not_of("0123456789") != std::string::npos) {
      refuse();
    }
    return static_cast<int64_t>(std::stoi(digits));
  };
  const auto low = number(numbers.substr(0, dash));
  const auto high = dash == std::string::npos ? low : number(numbers.substr(dash + 1));
  return {reasoning_kind(text.substr(0, colon)), low, high};
}

std::vector<Field> ReasoningOptions::fields() {
  return {
      Field("held_out_share", &held_out_share, "fraction of all problems that is never trained on")
          .range(0.01, 0.5)};
}

void check(const ReasoningOptions& options) {
  if (options.kinds.empty()) {
    fail(ErrorCode::kConfig, "reasoning: expected at least one kind of problem, got none.");
  }
  for (const auto& range : options.kinds) {
    if (range.min_difficulty < 1 || range.max_difficulty > kMaxDifficulty ||
        range.min_difficulty > range.max_difficulty) {
      fail(ErrorCode::kConfig, "reasoning: expected difficulties of {} from 1 to {}, got {} to {}.",
           name_of(range.kind), kMaxDifficulty, range.min_difficulty, range.max_difficulty);
    }
  }
  auto checked = options;
  check_fields(checked.fields(), "reasoning");
}

std::string reasoning_document(const ReasoningOptions& options, bool held_out,
                               RandomStream& random) {
  std::string text;
  int64_t num_problems = 0;
  for (int64_t i = 0; num_problems < kProblemsPerDocument; ++i) {
    const auto cells = cells_of(options.kinds[random.below(options.kinds.size())]);
    const auto& cell = cells[random.below(cells.size())];
    const auto problem = draw_on_side(cell, held_out, options.held_out_share, random);
    if (problem) {
      text += fmt::format("{} {}\n", problem->text, problem->answer);
      ++num_problems;
    } else if (i > 10 * kProblemsPerDocument) {
      fail(ErrorCode::kConfig,
           "reasoning: expected {} problems at a held-out share of {}, found none. Allow greater "
           "difficulties.",
           held_out ? "held-out" : "training", options.held_out_share);
    }
  }
  return text;
}

std::vector<BenchmarkInstance> reasoning_instances(const ReasoningOptions& options, int64_t count,
                                                   uint64_t seed) {
  check(options);
  RandomStream random(derive_seed(seed, "questions on problems"));
  std::set<std::string> seen;
  std::vector<BenchmarkInstance> instances;
  std::vector<int64_t> made(options.kinds.size());
  for (bool found = true; found;) {
    found = false;
    for (size_t i = 0; i < options.kinds.size(); ++i) {
      const auto problem = draw_unseen(options.kinds[i], options.held_out_share, seen, random);
      if (problem && static_cast<int64_t>(instances.size()) < count) {
        // Another first label for each kind, so that the labels are balanced over all as well.
        const auto label = (made[i] + static_cast<int64_t>(i)) % kBenchmarkChoices;
        instances.push_back(instance_of(*problem, label, made[i]++, random));
        found = true;
      }
    }
  }
  return instances;
}

}  // namespace loopbank
