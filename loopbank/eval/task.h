#pragma once
/// Tasks: instances with their prompts as OLMES writes them, and what counts as the score.
///
/// Not here: reading files (eval/task_files.h), shots (eval/few_shot.h), scoring (eval/evaluate.h).

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/eval/metrics.h"

namespace loopbank {

/// One answer: the model scores `continuation` behind `context`.
struct Choice {
  std::string context;       ///< shots and query; never ends in white space
  std::string continuation;  ///< begins with the one space that is added
};

/// One question.
struct Instance {
  std::string id;
  std::vector<Choice> choices;
  int64_t label = 0;  ///< index of the correct choice
};

struct Task {
  std::string name;
  Metric metric = Metric::kAccPerChar;  ///< the headline figure
  /// Context of the unconditioned twin of every choice, for acc_uncond; empty: not scored.
  std::string bare_context;
  int64_t shots = 0;
  std::vector<Instance> instances;
};

/// How a task's row becomes a prompt. `|` stands between context and continuation.
enum class PromptForm {
  kQuestion,   ///< "Question: " + question + "\nAnswer:" | " " + choice
  kGoal,       ///< "Goal: " + question + "\nAnswer:" | " " + choice
  kSituation,  ///< "Question: " + context + " " + question + "\nAnswer:" | " " + choice
  kVerbatim,   ///< context | " " + choice
  kFillIn,     ///< text before "_" + choice | " " + text behind "_", stripped
  kProblem,    ///< "Problem:\n" + problem + "\n\nSolution:" | " " + solution
};

/// What is known about a task before its file is read.
struct TaskForm {
  std::string name;
  PromptForm prompt = PromptForm::kVerbatim;
  std::string split;  ///< the split that OLMES scores: test or validation
  Metric metric = Metric::kAccPerChar;
  std::string file;  ///< stem of the file that holds it, where it is not the task's name
};

/// The tasks with a prompt form of their own: the eight of OLMES, lambada, seven of MATH.
[[nodiscard]] const std::vector<TaskForm>& known_tasks();

/// The form of a task by name. Any other name is scored verbatim: `context`, then " " + choice.
[[nodiscard]] TaskForm task_form(std::string_view name);

/// Some tasks under one name; the figure is the plain mean over them.
struct Suite {
  std::string name;
  std::vector<std::string> tasks;
};
/// `commonsense` (SPEC 4) and `math` (the seven subjects).
[[nodiscard]] const std::vector<Suite>& suites();

/// How the first line of a shot begins, where every shot begins alike; else empty.
[[nodiscard]] std::string_view shot_opening(PromptForm form);

/// One row in the common form, {"id", "question" and/or "context", "choices", "label"} or
/// {"problem", "solution"}, as an instance; `prefix` (the shots) stands before each context.
/// @param where  `file:line`, for errors
/// @throws Error kData for a missing field, one of another type or a label without a choice
[[nodiscard]] Instance make_instance(PromptForm form, const nlohmann::json& row,
                                     const std::string& prefix, const std::string& where);

}  // namespace loopbank
