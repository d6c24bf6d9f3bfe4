#pragma once
/// One question of the embedded benchmark, as both of its parts make it.

#include <cstdint>
#include <string>
#include <vector>

namespace loopbank {

/// A question with one correct and three wrong answers. Scored as `context`, then " " + choice:
/// byte for byte what training text has at that place.
struct BenchmarkInstance {
  std::string task;                  ///< facts or reasoning
  std::string id;                    ///< unique within its task
  std::string kind;                  ///< the attribute or the kind of problem
  int64_t difficulty = 1;            ///< k: 1 for facts, see ReasoningKind for problems
  std::string context;               ///< through "Answer:"
  std::vector<std::string> choices;  ///< kBenchmarkChoices, all different
  int64_t label = 0;                 ///< index of the correct choice
};

/// Choices per instance: guessing is right 1 time in 4.
inline constexpr int64_t kBenchmarkChoices = 4;

}  // namespace loopbank
