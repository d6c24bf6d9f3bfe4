#pragma once
/// One document of a task, read from a row in whichever form it was published.
///
/// The fields of the row tell the form, not the file's name: the common form of this project, the
/// rows of the data sets' own files and of Hugging Face, and the documents inside recorded OLMES
/// requests. Not here: prompts (eval/task.h), files (eval/task_files.h).

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace loopbank {

/// How a document becomes a prompt. `|` stands between context and continuation.
enum class PromptForm {
  kQuestion,     ///< "Question: " + question + "\nAnswer:" | " " + choice
  kGoal,         ///< "Goal: " + question + "\nAnswer:" | " " + choice
  kSituation,    ///< "Question: " + context + " " + question + "\nAnswer:" | " " + choice
  kVerbatim,     ///< context | " " + choice
  kLastWord,     ///< text before the last space | " " + the last word
  kFillIn,       ///< text before "_" + choice | " " + text behind "_", stripped
  kProblem,      ///< "Problem:\n" + problem + "\n\nSolution:" | " " + solution
  kWordProblem,  ///< "Question: " + question + "\nAnswer:" | " " + solution on one line
};

/// What a prompt is made of; the form decides which of the texts are set.
struct Document {
  std::string id{};        ///< empty where the row has none
  std::string context{};   ///< kSituation, kVerbatim, kLastWord
  std::string question{};  ///< question, goal, problem, or the sentence with its "_"
  std::string query{};     ///< of a recorded request: the query as it was written; else empty
  std::vector<std::string> choices{};  ///< at least one, none of them blank
  int64_t label = 0;                   ///< index of the correct choice
  std::vector<int64_t> steps{};        ///< behind each byte of the correct choice; empty: not known
  double prior_bits = 0.0;  ///< of the correct choice without any knowledge; 0: not known
};

/// Reads a row:
///
///     all               {"question" and/or "context", "choices": [text...], "label": from 0}
///                       of the program's own tasks also "steps" and "prior_bits"
///                       (benchmark/benchmark_instance.h)
///     kQuestion         {"question" or "question_stem", "choices": {"text", "label"}, "answerKey"}
///                       {"question": {"stem", "choices": [{"text", "label"}...]}, "answerKey"}
///     kGoal             {"goal", "sol1", "sol2", "label": from 0}
///     kSituation        {"context", "question", "answerA", "answerB", "answerC", "label": from 1}
///     kVerbatim         {"activity_label", "ctx_a", "ctx_b", "endings", "label": from 0}
///     kLastWord         {"text"}
///     kFillIn           {"sentence", "option1", "option2", "answer": from 1}
///     kProblem          {"problem", "solution"}
///     kWordProblem      {"question", "answer"}
///     all but these two {"query", "choices", "gold": from 0}, a recorded request's
///
/// Labels may be numbers or texts of digits, except in the common form, which has numbers.
/// @param where  `file:line`, for errors
/// @throws Error kData for a missing field, one of another type, a blank choice or a label without
///   a choice
[[nodiscard]] Document read_document(PromptForm form, const nlohmann::json& row,
                                     const std::string& where);

/// Whether the row has the fields of the data set's own form.
[[nodiscard]] bool is_official_row(PromptForm form, const nlohmann::json& row);

}  // namespace loopbank
