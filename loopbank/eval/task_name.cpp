#include "loopbank/eval/task_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "loopbank/support/error.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

struct Ending {
  std::string_view text;
  bool bits_per_byte = false;
  bool olmes_shots = false;
  bool olmes_documents = false;
};

/// Of the tasks with something to choose from.
constexpr std::array<Ending, 7> kChoiceEndings = {{
    {":rc", false, false, false},
    {":bpb", true, false, false},
    {":rc:bpb", true, false, false},
    {":rc::olmes", false, true, true},
    {":rc::olmes:full", false, true, false},
    {":rc:bpb::olmes", true, true, true},
    {":rc:bpb::olmes:full", true, true, false},
}};
/// Of the tasks with one continuation, which OLMES spells without `rc`. It has `::olmes` for
/// generation, which is not scored here: the name then stands for the bits a byte beside it.
constexpr std::array<Ending, 6> kSingleEndings = {{
    {":bpb", true, false, false},
    {"::bpb", true, false, false},
    {"::olmes", false, true, true},
    {"::olmes:full", false, true, false},
    {":bpb::olmes", true, true, true},
    {":bpb::olmes:full", true, true, false},
}};
/// Of the tasks that OLMES does not know.
constexpr std::array<Ending, 1> kOtherEndings = {{{":bpb", true, false, false}}};

std::span<const Ending> endings_of(const TaskForm& form) {
  if (!is_known_task(form.name)) {
    return kOtherEndings;
  }
  const bool single = form.prompt == PromptForm::kProblem ||
                      form.prompt == PromptForm::kWordProblem ||
                      form.prompt == PromptForm::kLastWord;
  return single ? std::span<const Ending>(kSingleEndings) : kChoiceEndings;
}

/// A name with an ending that nothing has: a task's, a suite's, or both parts are wrong.
[[noreturn]] void refuse(std::string_view spelled) {
  const auto name = short_name(spelled);
  std::vector<std::string> known;
  for (const auto& suite : suites()) {
    if (short_name(suite.name) == name) {
      known.push_back(suite.name);
    }
  }
  if (is_known_task(name)) {
    known.emplace_back(name);
    for (const auto ending : name_endings(task_form(name))) {
      known.push_back(fmt::format("{}{}", name, ending));
    }
  }
  if (!known.empty()) {
    fail(ErrorCode::kConfig, "--tasks: unknown variant \"{}\".{}", spelled,
         suggestion(spelled, known));
  }
  fail(ErrorCode::kConfig, "--tasks: unknown task \"{}\".{}", spelled,
       suggestion(name, known_names()));
}

}  // namespace

std::vector<std::string> known_names() {
  std::vector<std::string> names;
  for (const auto& task : known_tasks()) {
    names.push_back(task.name);
  }
  for (const auto& suite : suites()) {
    if (short_name(suite.name) == suite.name) {
      names.push_back(suite.name);
    }
  }
  return names;
}

std::string_view short_name(std::string_view spelled) {
  return spelled.substr(0, spelled.find(':'));
}

std::vector<std::string_view> name_endings(const TaskForm& form) {
  std::vector<std::string_view> endings;
  for (const auto& ending : endings_of(form)) {
    endings.push_back(ending.text);
  }
  return endings;
}

TaskName parse_task_name(std::string_view spelled) {
  const auto name = short_name(spelled);
  TaskName task{.spelled = std::string(spelled),
                .form = task_form(name),
                .olmes_documents = false,
                .shots = std::nullopt};
  const auto rest = spelled.substr(name.size());
  if (rest.empty()) {
    return task;
  }
  const auto endings = endings_of(task.form);
  const auto found = std::find_if(endings.begin(), endings.end(),
                                  [&](const Ending& ending) { return ending.text == rest; });
  if (found == endings.end()) {
    refuse(spelled);
  }
  if (found->bits_per_byte) {
    task.form.metric = Metric::kBitsPerByte;
  }
  if (found->olmes_shots) {
    task.shots = task.form.olmes_shots;
  }
  task.olmes_documents = found->olmes_documents;
  return task;
}

}  // namespace loopbank
