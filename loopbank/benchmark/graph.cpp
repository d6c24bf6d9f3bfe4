#include "loopbank/benchmark/graph.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>

#include "loopbank/benchmark/modular.h"
#include "loopbank/support/error.h"
#include "loopbank/support/shuffle.h"

namespace loopbank {
namespace {

constexpr int64_t kMostVariables = 26;

/// A variable that was assigned before, or a number.
struct Operand {
  int64_t variable = -1;  ///< -1: a number
  int64_t number = 0;
};

struct Assignment {
  char name = '+';
  std::array<Operand, 2> operands;
  int64_t value = 0;
  int64_t depth = 1;  ///< consecutive operations
  std::string key = {};
};

class Graph {
 public:
  Graph(int64_t modulus, RandomStream& random) : modulus_(modulus), random_(random) {}

  /// Assignments of which the last takes all that it adds, `count` of them.
  /// @return the last one's index
  int64_t add_needed(int64_t count) {
    const auto left = random_.between(0, count - 1);
    const auto right = count - 1 - left;
    std::array<Operand, 2> operands;
    // The sides first: what a number may be replaced by stands before it.
    operands[0] = left > 0 ? Operand{.variable = add_needed(left)} : Operand{};
    operands[1] = right > 0 ? Operand{.variable = add_needed(right)} : Operand{};
    for (size_t side = 0; side < 2; ++side) {
      if (operands[side].variable < 0) {
        operands[side] = draw_operand(operands[1 - side].variable);
      }
    }
    return add(operands);
  }

  /// An assignment that nothing needs which is there.
  void add_distractor() {
    const auto first = draw_operand(-1);
    add({first, draw_operand(first.variable)});
  }

  [[nodiscard]] const std::vector<Assignment>& assignments() const { return assignments_; }

 private:
  /// A number, or as often a variable where there is one but `other`, with which the difference would
  /// be 0 whatever it is. Not 0 either: products with it are 0 whatever the other side takes.
  Operand draw_operand(int64_t other) {
    const auto variable =
        assignments_.empty() ? other : static_cast<int64_t>(random_.below(assignments_.size()));
    if (variable != other && random_.below(2) == 0) {
      return {.variable = variable};
    }
    return {.number = random_.between(1, modulus_ - 1)};
  }

  int64_t add(const std::array<Operand, 2>& operands) {
    Assignment assignment{.name = draw_operator(random_), .operands = operands};
    std::array<int64_t, 2> values{};
    std::array<std::string, 2> keys;
    for (size_t side = 0; side < 2; ++side) {
      const auto& operand = operands[side];
      if (operand.variable < 0) {
        values[side] = operand.number;
        keys[side] = {kDigits[static_cast<size_t>(operand.number)]};
        continue;
      }
      const auto& before = assignments_[static_cast<size_t>(operand.variable)];
      values[side] = before.value;
      keys[side] = before.key;
      assignment.depth = std::max(assignment.depth, before.depth + 1);
    }
    assignment.value = apply_operator(assignment.name, values[0], values[1], modulus_);
    assignment.key = key_of_operation(assignment.name, keys[0], keys[1]);
    assignments_.push_back(std::move(assignment));
    return std::ssize(assignments_) - 1;
  }

  int64_t modulus_;
  RandomStream& random_;
  std::vector<Assignment> assignments_;  ///< each behind those that it needs
};

/// The assignments in random order, under random names.
std::string state(const std::vector<Assignment>& assignments, const std::string& names,
                  RandomStream& random) {
  const auto text_of = [&](const Operand& operand) {
    return operand.variable < 0 ? kDigits[static_cast<size_t>(operand.number)]
                                : names[static_cast<size_t>(operand.variable)];
  };
  std::vector<std::string> lines;
  for (size_t i = 0; i < assignments.size(); ++i) {
    const auto& [first, second] = assignments[i].operands;
    lines.push_back({names[i], '=', text_of(first), assignments[i].name, text_of(second), ';'});
  }
  shuffle(lines, random);
  return std::accumulate(lines.begin(), lines.end(), std::string());
}

}  // namespace

Example draw_graph(int64_t k, const GraphOptions& options, RandomStream& random) {
  if (k < 1 || k + options.distractors > kMostVariables) {
    fail(ErrorCode::kConfig,
         "i-gsm: expected difficulties from 1 to {} with {} distractors, got {}. Variables are "
         "capital letters.",
         kMostVariables - options.distractors, options.distractors, k);
  }
  const auto wanted = random.between(0, options.modulus - 1);
  std::optional<Graph> graph;
  size_t asked = 0;
  do {
    graph.emplace(options.modulus, random);
    asked = static_cast<size_t>(graph->add_needed(k));
  } while (graph->assignments()[asked].value != wanted);
  for (int64_t i = 0; i < options.distractors; ++i) {
    graph->add_distractor();
  }
  std::vector<char> letters(static_cast<size_t>(kMostVariables));
  std::iota(letters.begin(), letters.end(), 'A');
  shuffle(letters, random);
  const std::string names(letters.begin(), letters.end());
  const auto& assignment = graph->assignments()[asked];
  return {.difficulty = k,
          .statement = state(graph->assignments(), names, random),
          .question = {names[asked], '?'},
          .answer = {kDigits[static_cast<size_t>(assignment.value)]},
          .choices = numbers_below(options.modulus),
          .steps = {assignment.depth},
          .key = assignment.key};
}

}  // namespace loopbank
