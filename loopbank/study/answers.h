#pragma once
/// The four research questions (SPEC 5) answered in plain sentences out of what was measured. An
/// interval that holds 0 is told as such, and what was not measured too.

#include <array>
#include <string>
#include <string_view>

#include "loopbank/study/results_view.h"

namespace loopbank {

enum class Tone { kYes, kPartly, kNo, kOpen, kUnmeasured };

[[nodiscard]] std::string_view name_of(Tone tone);

struct Answer {
  Tone tone = Tone::kUnmeasured;
  std::string headline = "Not measured";  ///< a word or a few
  std::string text;                       ///< one or two sentences with their numbers
  std::string more = {};                  ///< what else bears on it; may be empty
};

constexpr int kNumQuestions = 4;

/// The question as a heading; `question` counts from 1.
[[nodiscard]] std::string_view question_text(int question);

/// One answer a question, in order.
[[nodiscard]] std::array<Answer, kNumQuestions> answer_questions(const Json& part);

/// The third of them: how loops and memory interact, from the corners of the grid.
[[nodiscard]] Answer answer_together(const Json& part);

/// The last of them: which layers loop and read memory most.
[[nodiscard]] Answer answer_inside(const Json& part);

/// What has to be said where one seed alone was trained; empty otherwise.
[[nodiscard]] std::string one_seed_warning(const Json& part);

}  // namespace loopbank
