#include "loopbank/eval/task.h"

#include <fmt/format.h>

#include <algorithm>

#include "loopbank/eval/python_text.h"
#include "loopbank/eval/task_name.h"

namespace loopbank {
namespace {

/// The sizes and samples are those of the published splits and of OLMES's configuration.
std::vector<TaskForm> make_known_tasks() {
  using enum PromptForm;
  using enum Metric;
  std::vector<TaskForm> tasks = {
      {"arc_easy", kQuestion, "test", kAccPerChar, "", 2376, 1000, 5},
      {"arc_challenge", kQuestion, "test", kAccUncond, "", 1172, 0, 5},
      {"hellaswag", kVerbatim, "validation", kAccPerChar, "", 10042, 1000, 5},
      {"piqa", kGoal, "validation", kAccPerChar, "", 1838, 1000, 5},
      {"winogrande", kFillIn, "validation", kAccRaw, "", 1267, 0, 5},
      {"socialiqa", kSituation, "validation", kAccPerChar, "", 1954, 1000, 5},
      {"csqa", kQuestion, "validation", kAccUncond, "", 1221, 0, 5},
      {"openbookqa", kQuestion, "test", kAccUncond, "", 500, 0, 5},
      {"lambada", kLastWord, "test", kAccGreedy, "", 5153, 0, 0},
      {"gsm8k", kWordProblem, "test", kBitsPerByte, "", 1319, 0, 8},
  };
  const std::vector<std::pair<std::string, int64_t>> subjects = {
      {"algebra", 1187},      {"counting_and_probability", 474},
      {"geometry", 479},      {"intermediate_algebra", 903},
      {"number_theory", 540}, {"prealgebra", 871},
      {"precalculus", 546},
  };
  for (const auto& [subject, size] : subjects) {
    tasks.push_back({math_task(subject), kProblem, "test", kBitsPerByte, "MATH", size, 0, 4});
  }
  return tasks;
}

std::vector<Suite> make_suites() {
  Suite math{"math", {}};
  for (const auto& task : known_tasks()) {
    if (task.prompt == PromptForm::kProblem) {
      math.tasks.push_back(task.name);
    }
  }
  std::vector<Suite> suites = {
      {"commonsense",
       {"arc_easy", "arc_challenge", "hellaswag", "piqa", "winogrande", "socialiqa"}},
      math};
  const size_t count = suites.size();
  for (size_t i = 0; i < count; ++i) {
    for (const auto& ending : name_endings(task_form(suites[i].tasks[0]))) {
      Suite longer{fmt::format("{}{}", suites[i].name, ending), {}};
      for (const auto& task : suites[i].tasks) {
        longer.tasks.push_back(fmt::format("{}{}", task, ending));
      }
      suites.push_back(std::move(longer));
    }
  }
  return suites;
}

/// The contexts differ and the continuation is the same.
std::vector<Choice> fill_in(const Document& document, const std::string& prefix) {
  const auto blank = document.question.find('_');
  const auto continuation =
      fmt::format(" {}", python_strip(std::string_view(document.question).substr(blank + 1)));
  std::vector<Choice> choices;
  for (const auto& option : document.choices) {
    choices.push_back(
        {.context = fmt::format("{}{}{}", prefix, document.question.substr(0, blank), option),
         .continuation = continuation});
  }
  return choices;
}

}  // namespace

const std::vector<TaskForm>& known_tasks() {
  static const auto tasks = make_known_tasks();
  return tasks;
}

bool is_known_task(std::string_view name) {
  const auto& known = known_tasks();
  return std::any_of(known.begin(), known.end(),
                     [&](const TaskForm& task) { return task.name == name; });
}

std::string math_task(std::string_view subject) {
  return fmt::format("minerva_math_{}", subject);
}

TaskForm task_form(std::string_view name) {
  const auto& known = known_tasks();
  const auto found = std::find_if(known.begin(), known.end(),
                                  [&](const TaskForm& task) { return task.name == name; });
  if (found != known.end()) {
    return *found;
  }
  TaskForm form;
  form.name = name;
  form.split = "test";
  return form;
}

const std::vector<Suite>& suites() {
  static const auto list = make_suites();
  return list;
}

std::string_view shot_opening(PromptForm form) {
  switch (form) {
    case PromptForm::kQuestion:
    case PromptForm::kSituation:
    case PromptForm::kWordProblem:
      return "Question: ";
    case PromptForm::kGoal:
      return "Goal: ";
    case PromptForm::kProblem:
      return "Problem:\n";
    case PromptForm::kVerbatim:
    case PromptForm::kLastWord:
    case PromptForm::kFillIn:
      break;
  }
  return "";
}

std::string query_of(PromptForm form, const Document& document) {
  if (!document.query.empty()) {
    return document.query;
  }
  switch (form) {
    case PromptForm::kQuestion:
    case PromptForm::kWordProblem:
      return fmt::format("Question: {}\nAnswer:", document.question);
    case PromptForm::kGoal:
      return fmt::format("Goal: {}\nAnswer:", document.question);
    case PromptForm::kSituation:
      return fmt::format("Question: {} {}\nAnswer:", document.context, document.question);
    case PromptForm::kProblem:
      return fmt::format("Problem:\n{}\n\nSolution:", document.question);
    case PromptForm::kFillIn:
      return document.question;
    case PromptForm::kVerbatim:
    case PromptForm::kLastWord:
      break;
  }
  return document.context;
}

Instance make_instance(PromptForm form, const Document& document, const std::string& prefix) {
  Instance instance{.id = document.id,
                    .choices = {},
                    .label = document.label,
                    .query = query_of(form, document),
                    .steps = document.steps,
                    .prior_bits = document.prior_bits};
  if (form == PromptForm::kFillIn) {
    instance.choices = fill_in(document, prefix);
    instance.options = document.choices;
    return instance;
  }
  const auto context = prefix + instance.query;
  for (const auto& choice : document.choices) {
    instance.choices.push_back({.context = context, .continuation = fmt::format(" {}", choice)});
  }
  return instance;
}

}  // namespace loopbank
