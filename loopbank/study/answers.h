#pragma once
/// The four research questions (SPEC 5), and a fifth on inference, answered in plain sentences out of
/// what was measured. What
/// is said of two systems is their comparison's verdict (verdict.h); what was not measured is told
/// as such, and what one seed measured is no finding: its answers are open.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "loopbank/study/results.h"

namespace loopbank {

enum class Tone { kYes, kPartly, kNo, kOpen, kUnmeasured };

[[nodiscard]] std::string_view name_of(Tone tone);

struct Answer {
  Tone tone = Tone::kUnmeasured;
  std::string headline = "Not measured";  ///< a word or a few
  std::string text;                       ///< one or two sentences with their numbers
  std::string more = {};                  ///< what else bears on it; may be empty
};

constexpr int kNumQuestions = 5;

/// The caveat of what rests on fewer than two common seeds, or is of a study with a single seed;
/// empty for more.
[[nodiscard]] std::string caveat_of_seeds(const PartResult& part, int64_t num_seeds);

/// One answer a question, in order.
[[nodiscard]] std::array<Answer, kNumQuestions> answer_questions(const PartResult& part);

/// The third of them: how loops and memory interact, from the corners of the grid.
[[nodiscard]] Answer answer_together(const PartResult& part);

/// The fourth: which layers loop and read memory most.
[[nodiscard]] Answer answer_inside(const PartResult& part);

/// The fifth: what stopping early costs, and what it saves.
[[nodiscard]] Answer answer_exits(const PartResult& part);

}  // namespace loopbank
