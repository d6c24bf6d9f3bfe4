#pragma once
/// One question that the program makes itself, of the embedded benchmark or of a synthetic task.

#include <cstdint>
#include <string>
#include <vector>

namespace loopbank {

/// A question, the answers to choose from and what is known of the right one. Scored as `context`,
/// then " " + choice: byte for byte what training text has at that place.
struct BenchmarkInstance {
  std::string task;                  ///< facts, reasoning or a synthetic task's name
  std::string id;                    ///< unique within its task
  std::string kind;                  ///< the attribute or the kind of problem
  int64_t difficulty = 1;            ///< k: 1 for facts, see ReasoningKind for problems
  std::string context;               ///< through "Answer:"
  std::vector<std::string> choices;  ///< all different; one alone: only the exact answer counts
  int64_t label = 0;                 ///< index of the correct choice
  /// Consecutive steps behind each byte of the correct choice, at least 1; empty: not known.
  std::vector<int64_t> steps = {};
  /// Bits that naming the correct choice takes who knows the form of the answers alone: log2 of their
  /// number; 0: not known.
  double prior_bits = 0.0;
};

/// Choices per instance of the embedded benchmark: guessing is right 1 time in 4.
inline constexpr int64_t kBenchmarkChoices = 4;

}  // namespace loopbank
