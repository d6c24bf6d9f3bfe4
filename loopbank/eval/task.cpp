#include "loopbank/eval/task.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kMathPrefix = "minerva_math_";

std::vector<TaskForm> make_known_tasks() {
  std::vector<TaskForm> tasks = {
      {"arc_easy", PromptForm::kQuestion, "test", Metric::kAccPerChar, ""},
      {"arc_challenge", PromptForm::kQuestion, "test", Metric::kAccUncond, ""},
      {"hellaswag", PromptForm::kVerbatim, "validation", Metric::kAccPerChar, ""},
      {"piqa", PromptForm::kGoal, "validation", Metric::kAccPerChar, ""},
      {"winogrande", PromptForm::kFillIn, "validation", Metric::kAccRaw, ""},
      {"socialiqa", PromptForm::kSituation, "validation", Metric::kAccPerChar, ""},
      {"csqa", PromptForm::kQuestion, "validation", Metric::kAccUncond, ""},
      {"openbookqa", PromptForm::kQuestion, "test", Metric::kAccUncond, ""},
      {"lambada", PromptForm::kVerbatim, "test", Metric::kAccGreedy, ""},
  };
  for (const char* subject :
       {"algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory",
        "prealgebra", "precalculus"}) {
    tasks.push_back({std::string(kMathPrefix) + subject, PromptForm::kProblem, "test",
                     Metric::kBitsPerByte, "MATH"});
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
  return {{"commonsense",
           {"arc_easy", "arc_challenge", "hellaswag", "piqa", "winogrande", "socialiqa"}},
          math};
}

const Json& field(const Json& row, const char* name, const std::string& where) {
  const auto found = row.find(name);
  if (found == row.end()) {
    fail(ErrorCode::kData, "{}: expected a field \"{}\", got none. Add it or drop the line", where,
         name);
  }
  return *found;
}

const std::string& text(const Json& value, const std::string& name, const std::string& where) {
  if (!value.is_string()) {
    fail(ErrorCode::kData, "{}: expected a text in \"{}\", got {}", where, name, value.dump());
  }
  return value.get_ref<const std::string&>();
}

const std::string& text_field(const Json& row, const char* name, const std::string& where) {
  return text(field(row, name, where), name, where);
}

std::vector<std::string> choices_of(const Json& row, const std::string& where) {
  const auto& list = field(row, "choices", where);
  if (!list.is_array() || list.empty()) {
    fail(ErrorCode::kData, "{}: expected a list of at least one text in \"choices\", got {}", where,
         list.dump());
  }
  std::vector<std::string> choices;
  for (const auto& choice : list) {
    choices.push_back(text(choice, "choices", where));
  }
  return choices;
}

int64_t label_of(const Json& row, size_t num_choices, const std::string& where) {
  const auto& label = field(row, "label", where);
  if (!label.is_number_integer() || label.get<int64_t>() < 0 ||
      label.get<int64_t>() >= static_cast<int64_t>(num_choices)) {
    fail(ErrorCode::kData,
         "{}: expected a label from 0 to {}, got {}. Labels count the choices from 0", where,
         num_choices - 1, label.dump());
  }
  return label.get<int64_t>();
}

std::string id_of(const Json& row) {
  const auto found = row.find("id");
  if (found == row.end()) {
    return "";
  }
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::string_view strip(std::string_view words) {
  constexpr std::string_view kBlanks = " \t\n\r\v\f";
  const auto first = words.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) {
    return "";
  }
  return words.substr(first, words.find_last_not_of(kBlanks) - first + 1);
}

/// The contexts differ and the continuation is the same.
std::vector<Choice> fill_in(const Json& row, const std::string& prefix, const std::string& where) {
  const auto& sentence = text_field(row, "question", where);
  const auto blank = sentence.find('_');
  if (blank == std::string::npos) {
    fail(ErrorCode::kData, "{}: expected a \"_\" in \"question\", got \"{}\"", where, sentence);
  }
  const auto continuation = fmt::format(" {}", strip(std::string_view(sentence).substr(blank + 1)));
  std::vector<Choice> choices;
  for (const auto& option : choices_of(row, where)) {
    choices.push_back({.context = fmt::format("{}{}{}", prefix, sentence.substr(0, blank), option),
                       .continuation = continuation});
  }
  return choices;
}

std::string query_of(PromptForm form, const Json& row, const std::string& where) {
  switch (form) {
    case PromptForm::kQuestion:
      return fmt::format("Question: {}\nAnswer:", text_field(row, "question", where));
    case PromptForm::kGoal:
      return fmt::format("Goal: {}\nAnswer:", text_field(row, "question", where));
    case PromptForm::kSituation:
      return fmt::format("Question: {} {}\nAnswer:", text_field(row, "context", where),
                         text_field(row, "question", where));
    case PromptForm::kProblem:
      return fmt::format("Problem:\n{}\n\nSolution:", text_field(row, "problem", where));
    case PromptForm::kVerbatim:
    case PromptForm::kFillIn:
      break;
  }
  return text_field(row, "context", where);
}

}  // namespace

const std::vector<TaskForm>& known_tasks() {
  static const auto tasks = make_known_tasks();
  return tasks;
}

TaskForm task_form(std::string_view name) {
  const auto& known = known_tasks();
  const auto found = std::find_if(known.begin(), known.end(),
                                  [&](const TaskForm& task) { return task.name == name; });
  if (found != known.end()) {
    return *found;
  }
  return {std::string(name), PromptForm::kVerbatim, "test", Metric::kAccPerChar, ""};
}

const std::vector<Suite>& suites() {
  static const auto list = make_suites();
  return list;
}

std::string_view shot_opening(PromptForm form) {
  switch (form) {
    case PromptForm::kQuestion:
    case PromptForm::kSituation:
      return "Question: ";
    case PromptForm::kGoal:
      return "Goal: ";
    case PromptForm::kProblem:
      return "Problem:\n";
    case PromptForm::kVerbatim:
    case PromptForm::kFillIn:
      break;
  }
  return "";
}

Instance make_instance(PromptForm form, const Json& row, const std::string& prefix,
                       const std::string& where) {
  if (!row.is_object()) {
    fail(ErrorCode::kData, "{}: expected a JSON object, got {}", where, row.type_name());
  }
  Instance instance{.id = id_of(row), .choices = {}, .label = 0};
  if (form == PromptForm::kProblem) {
    instance.choices.push_back(
        {.context = prefix + query_of(form, row, where),
         .continuation = fmt::format(" {}", text_field(row, "solution", where))});
    return instance;
  }
  if (form == PromptForm::kFillIn) {
    instance.choices = fill_in(row, prefix, where);
  } else {
    const auto context = prefix + query_of(form, row, where);
    for (const auto& choice : choices_of(row, where)) {
      instance.choices.push_back({.context = context, .continuation = fmt::format(" {}", choice)});
    }
  }
  instance.label = label_of(row, instance.choices.size(), where);
  return instance;
}

}  // namespace loopbank
