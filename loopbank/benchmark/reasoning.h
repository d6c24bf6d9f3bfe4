#pragma once
/// The reasoning part of the embedded benchmark: problems whose answer takes several consecutive
/// steps. It measures manipulation: no evaluated problem is in any training text.

#include <cstdint>
#include <string>
#include <vector>

#include "loopbank/benchmark/benchmark_instance.h"
#include "loopbank/benchmark/problem.h"
#include "loopbank/support/field.h"
#include "loopbank/support/random.h"

namespace loopbank {

/// One kind at the difficulties from min to max, both included.
struct ReasoningRange {
  ReasoningKind kind = ReasoningKind::kAddition;
  int64_t min_difficulty = 1;
  int64_t max_difficulty = 1;
};

/// "addition:1-3" as a range; "addition:2" is difficulty 2 alone.
/// @throws Error kConfig for another form or an unknown kind
[[nodiscard]] ReasoningRange parse_reasoning_range(const std::string& text);

struct ReasoningOptions {
  /// Each kind gets an equal share of the problems, and each of its difficulties an equal share of
  /// that.
  std::vector<ReasoningRange> kinds = {{ReasoningKind::kAddition, 1, 2},
                                       {ReasoningKind::kSum, 1, 4},
                                       {ReasoningKind::kChain, 1, 3},
                                       {ReasoningKind::kComparison, 1, 3},
                                       {ReasoningKind::kProduct, 1, 2}};
  double held_out_share = 0.125;  ///< of all problems: never in training text

  /// Key, allowed values and meaning of each option but for `kinds`, whose form is a text's.
  [[nodiscard]] std::vector<Field> fields();
};

/// @throws Error kConfig for an empty list, a range or share out of bounds, with both values
void check(const ReasoningOptions& options);

/// A document of problems with their answers, one per line, all from one side of the split.
[[nodiscard]] std::string reasoning_document(const ReasoningOptions& options, bool held_out,
                                             RandomStream& random);

/// At most `count` different held-out problems, spread evenly over the kinds as far as they go;
/// labels are balanced within each kind.
[[nodiscard]] std::vector<BenchmarkInstance> reasoning_instances(const ReasoningOptions& options,
                                                                 int64_t count, uint64_t seed);

}  // namespace loopbank
