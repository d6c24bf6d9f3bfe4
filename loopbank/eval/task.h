#pragma once
/// Tasks: instances with their prompts as OLMES writes them, and what counts as the score.
///
/// Not here: rows (eval/document.h), names as they are asked for (eval/task_name.h), files
/// (eval/task_files.h), shots (eval/few_shot.h), scoring (eval/evaluate.h).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/eval/document.h"
#include "loopbank/eval/metrics.h"

namespace loopbank {

/// One answer: the model scores `continuation` after `context`.
struct Choice {
  std::string context;       ///< shots and query; never ends in white space
  std::string continuation;  ///< begins with the one space that is added
};

/// One question.
struct Instance {
  std::string id;
  std::vector<Choice> choices;
  int64_t label = 0;  ///< index of the correct choice
  /// The prompt without its shots; of kFillIn the sentence with its "_".
  std::string query = {};
  std::vector<std::string> options = {};  ///< kFillIn: what stands for the "_", in order
  std::vector<int64_t> steps = {};        ///< as of the document
  double prior_bits = 0.0;                ///< likewise
};

struct Task {
  std::string name;                     ///< as it was asked for
  Metric metric = Metric::kAccPerChar;  ///< the headline figure
  /// Context of the unconditioned twin of every choice, for acc_uncond; empty: not scored.
  std::string bare_context;
  int64_t shots = 0;
  std::vector<Instance> instances;
  /// What readers of the figures must know, such as documents that are not OLMES's.
  std::vector<std::string> notes = {};
};

/// Context of an unconditioned twin.
inline constexpr std::string_view kBareContext = "Answer:";

/// What is known about a task before its file is read.
struct TaskForm {
  std::string name;
  PromptForm prompt = PromptForm::kVerbatim;
  std::string split;  ///< the split that OLMES scores: test or validation
  Metric metric = Metric::kAccPerChar;
  std::string file;          ///< stem of its file where that is not the task's name
  int64_t split_size = 0;    ///< documents of that split; 0: not known
  int64_t olmes_sample = 0;  ///< documents that OLMES draws from it; 0: it scores all
  int64_t olmes_shots = 0;   ///< shots that OLMES puts before each query
};

/// The tasks with a prompt form of their own: the eight of OLMES, lambada, gsm8k, seven of MATH.
[[nodiscard]] const std::vector<TaskForm>& known_tasks();

/// Whether one of them has this short name.
[[nodiscard]] bool is_known_task(std::string_view name);

/// The task of a subject of MATH, such as `counting_and_probability`.
[[nodiscard]] std::string math_task(std::string_view subject);

/// The form of a task by its short name. An unknown name is scored verbatim: `context`, then " " +
/// choice.
[[nodiscard]] TaskForm task_form(std::string_view name);

/// Several tasks under one name, scored by their plain mean.
struct Suite {
  std::string name;
  std::vector<std::string> tasks;
};
/// `commonsense` (SPEC 4) and `math` (the seven subjects); then each again in every longer spelling
/// of its tasks (eval/task_name.h): `commonsense:rc::olmes`, `math:bpb`.
[[nodiscard]] const std::vector<Suite>& suites();

/// How the first line of a shot begins, if every shot begins alike; otherwise empty.
[[nodiscard]] std::string_view shot_opening(PromptForm form);

/// The text after the shots, the same for all choices; for kFillIn the sentence.
[[nodiscard]] std::string query_of(PromptForm form, const Document& document);

/// The document's prompts, `prefix` (the shots) before each context.
[[nodiscard]] Instance make_instance(PromptForm form, const Document& document,
                                     const std::string& prefix);

}  // namespace loopbank
