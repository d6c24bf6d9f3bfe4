#pragma once
/// The two data sets whose text OLMES rewrites before it becomes a prompt.

#include <string>
#include <string_view>

namespace loopbank {

/// A text of HellaSwag as OLMES cleans it, in this order: white space is stripped from both ends; "
/// [title]", with or without a "." before it, becomes ". "; text in square brackets is removed;
/// each pair of spaces becomes one, in one pass. Stripping comes first, so an ending that begins
/// with "[step]" keeps the space after it, and its continuation begins with two.
[[nodiscard]] std::string clean_hellaswag(std::string_view text);

/// HellaSwag's context: the label, ": ", ctx_a, " " and ctx_b capitalized as Python does it,
/// cleaned.
[[nodiscard]] std::string hellaswag_context(std::string_view activity_label, std::string_view ctx_a,
                                            std::string_view ctx_b);

/// GSM8K's solution as OLMES scores it: one line, the calculator's <<...>> removed, "#### N" turned
/// into "So the answer is N.", spaces around + - * / and =.
/// @param answer  contains "####"
[[nodiscard]] std::string gsm8k_solution(std::string_view answer);

}  // namespace loopbank
