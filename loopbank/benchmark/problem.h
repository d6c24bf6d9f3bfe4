#pragma once
/// Problems that take several consecutive steps: text, answer and the mistakes that people make
/// with them. Not here: which of them a benchmark contains (benchmark/reasoning.h).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/support/random.h"

namespace loopbank {

/// What is asked, and what its difficulty k counts.
enum class ReasoningKind {
  kAddition,    ///< two numbers of k digits
  kSum,         ///< k + 1 operands of one digit: k additions
  kChain,       ///< k assignments, each using the one before, after a first one
  kComparison,  ///< the larger of two numbers of k digits
  kProduct,     ///< a number of k digits times one of one digit
};

[[nodiscard]] std::string_view name_of(ReasoningKind kind);
/// @throws Error kConfig for an unknown name, with the nearest
[[nodiscard]] ReasoningKind reasoning_kind(std::string_view name);

inline constexpr int64_t kMaxDifficulty = 12;

/// One problem. The text is continued by a space and the answer.
struct Problem {
  ReasoningKind kind = ReasoningKind::kAddition;
  int64_t difficulty = 1;
  std::string canonical;  ///< equal for problems that differ only in the order of operands
  std::string text;       ///< "Question: What is 47 + 38? Answer:"
  int64_t answer = 0;
  std::vector<int64_t> mistakes;  ///< plausible wrong answers; not all differ from the right one
  /// Consecutive steps behind each digit of the answer: the k of sums and chains, carries of additions
  /// and products (benchmark/carries.h), digits of comparisons through the first that differs.
  std::vector<int64_t> steps;
};

/// A random problem of a difficulty from 1 to kMaxDifficulty.
[[nodiscard]] Problem draw_problem(ReasoningKind kind, int64_t difficulty, RandomStream& random);

/// Whether a problem is kept out of training text: a property of the problem, the same for every
/// seed, so that no benchmark trains on what another evaluates. Problems of difficulty 1 never are:
/// they are the tables (7 + 8, 6 * 9) that the steps of all others are made of.
[[nodiscard]] bool is_held_out(const Problem& problem, double held_out_share);

}  // namespace loopbank
