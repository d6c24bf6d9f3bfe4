#pragma once
/// The reasoning part of the embedded benchmark: problems whose answer takes several steps one
/// after another. It measures manipulation: no evaluated problem stands in any training text.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/data/benchmark_instance.h"
#include "loopbank/support/random.h"

namespace loopbank {

/// What is asked, and what its difficulty k counts.
enum class ReasoningKind {
  kAddition,    ///< two numbers of k digits
  kSum,         ///< k + 1 operands of one digit: k additions
  kChain,       ///< k assignments, each of which uses the one before, behind a first one
  kComparison,  ///< the larger of two numbers of k digits
  kProduct,     ///< a number of k digits times one of one digit
};

[[nodiscard]] std::string_view name_of(ReasoningKind kind);
/// @throws Error kConfig for an unknown name, with the nearest
[[nodiscard]] ReasoningKind reasoning_kind(std::string_view name);

inline constexpr int64_t kMaxDifficulty = 12;

/// One kind at the difficulties from min to max, both included.
struct ReasoningRange {
  ReasoningKind kind = ReasoningKind::kAddition;
  int64_t min_difficulty = 1;
  int64_t max_difficulty = 1;
};

struct ReasoningOptions {
  /// Each kind takes an equal share of the problems, and each of its difficulties of that.
  std::vector<ReasoningRange> kinds = {{ReasoningKind::kAddition, 1, 2},
                                       {ReasoningKind::kSum, 1, 4},
                                       {ReasoningKind::kChain, 1, 3},
                                       {ReasoningKind::kComparison, 1, 3},
                                       {ReasoningKind::kProduct, 1, 2}};
  double held_out_share = 0.125;  ///< of all problems: never in training text
};

struct Problem {
  ReasoningKind kind = ReasoningKind::kAddition;
  int64_t difficulty = 1;
  std::string canonical;  ///< equal for problems that are the same up to the order of operands
  std::string text;       ///< "Question: What is 47 + 38? Answer:"
  int64_t answer = 0;
  std::vector<int64_t> mistakes;  ///< plausible wrong answers of this kind, none negative
};

/// A random problem; any difficulty from 1 to kMaxDifficulty.
[[nodiscard]] Problem draw_problem(ReasoningKind kind, int64_t difficulty, RandomStream& random);

/// Whether a problem is kept out of training text: a property of the problem, the same for every
/// seed, so that no benchmark trains on what another evaluates. Problems of difficulty 1 never are:
/// they are the tables (7 + 8, 6 * 9) from which the steps of all others are made.
[[nodiscard]] bool is_held_out(const Problem& problem, double held_out_share);

/// @throws Error kConfig for an empty list, a range or share out of bounds, with both values
void check(const ReasoningOptions& options);

/// A document of problems with their answers, one a line, all of one side of the partition.
[[nodiscard]] std::string reasoning_document(const ReasoningOptions& options, bool held_out,
                                             RandomStream& random);

/// At most `count` different held-out problems, spread evenly over the kinds as far as there are
/// enough; labels are balanced within each kind.
[[nodiscard]] std::vector<BenchmarkInstance> reasoning_instances(const ReasoningOptions& options,
                                                                 int64_t count, uint64_t seed);

}  // namespace loopbank
