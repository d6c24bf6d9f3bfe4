#pragma once
/// One question of the embedded benchmark, as both of its parts make it.

#include <cstdint>
#include <string>
#include <vector>

namespace loopbank {

/// A question with one correct and three wrong answers. Scored as `context`, then " " + choice:
/// byte for byte what training text holds at that place.
struct BenchmarkInstance {
  std::string task;                  ///< facts or reasoning
  std::string id;                    ///< unlike any other of its task
  std::string kind;                  ///< the attribute or the kind of problem
  int64_t difficulty = 1;            ///< k: 1 for facts, see ReasoningKind for problems
  std::string context;               ///< up to and with "Answer:"
  std::vector<std::string> choices;  ///< kBenchmarkChoices, all different
  int64_t label = 0;                 ///< index of the correct choice
};

/// Choices of an instance: guessing gives 1 in 4.
inline constexpr int64_t kBenchmarkChoices = 4;

}  // namespace loopbank
