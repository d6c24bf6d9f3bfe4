#include "loopbank/eval/task_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <system_error>

#include "loopbank/eval/few_shot.h"
#include "loopbank/eval/json_lines.h"
#include "loopbank/support/error.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 3> kEndings = {".jsonl", ".jsonl.zst", ".jsonl.gz"};
constexpr std::string_view kBareAnswer = "Answer:";

bool is_known(const std::string& name) {
  const auto& known = known_tasks();
  return std::any_of(known.begin(), known.end(),
                     [&](const TaskForm& task) { return task.name == name; });
}

/// Names of a task's file without the ending, in the order of preference.
std::vector<std::string> file_stems(const TaskForm& form) {
  const std::string other = form.split == "test" ? "validation" : "test";
  std::vector<std::string> stems;
  if (!form.file.empty()) {
    stems.push_back(form.file + "." + form.split);
    stems.push_back(form.file);
  }
  for (const auto& suffix : {"." + form.split, "." + other, std::string()}) {
    stems.push_back(form.name + suffix);
  }
  return stems;
}

std::optional<fs::path> find_file(const TaskForm& form, const std::vector<fs::path>& directories) {
  for (const auto& directory : directories) {
    for (const auto& stem : file_stems(form)) {
      for (const auto* ending : kEndings) {
        auto path = directory / (stem + ending);
        if (fs::is_regular_file(path)) {
          return path;
        }
      }
    }
  }
  return std::nullopt;
}

/// The task that a file name stands for; empty for a file of another kind.
std::string task_of_file(const std::string& file_name) {
  for (const auto* ending : kEndings) {
    if (file_name.ends_with(ending)) {
      auto name = file_name.substr(0, file_name.size() - std::string_view(ending).size());
      for (const std::string_view split : {".test", ".validation"}) {
        if (name.ends_with(split)) {
          name.resize(name.size() - split.size());
        }
      }
      return name;
    }
  }
  return "";
}

/// Every name that could have been asked for.
std::vector<std::string> askable_names(const std::vector<fs::path>& directories) {
  std::set<std::string> names;
  for (const auto& task : known_tasks()) {
    names.insert(task.name);
  }
  for (const auto& suite : suites()) {
    names.insert(suite.name);
  }
  for (const auto& directory : directories) {
    for (const auto& entry : fs::directory_iterator(directory)) {
      if (auto name = task_of_file(entry.path().filename().string()); !name.empty()) {
        names.insert(std::move(name));
      }
    }
  }
  return {names.begin(), names.end()};
}

void check_source(const TaskSource& source) {
  if (source.shots > 0 && source.few_shot_file.empty()) {
    fail(ErrorCode::kConfig,
         "--shots {}: expected a file of shots, got none. Name one with --fewshot FILE",
         source.shots);
  }
  if (source.shots < 0 || source.limit < 0) {
    fail(ErrorCode::kConfig, "load_tasks: expected shots and limit of 0 or more, got {} and {}",
         source.shots, source.limit);
  }
  for (const auto& directory : source.directories) {
    std::error_code error;
    if (!fs::is_directory(directory, error)) {
      fail(ErrorCode::kData, "{}: expected a folder of .jsonl files, got {}", directory.string(),
           fs::exists(directory, error) ? "a file" : "nothing of that name");
    }
  }
}

fs::path file_of(const TaskForm& form, const TaskSource& source) {
  if (const auto path = find_file(form, source.directories)) {
    return *path;
  }
  if (!is_known(form.name)) {
    fail(ErrorCode::kConfig, "--tasks: unknown task \"{}\".{}", form.name,
         suggestion(form.name, askable_names(source.directories)));
  }
  std::vector<std::string> searched;
  for (const auto& directory : source.directories) {
    searched.push_back(directory.string());
  }
  fail(ErrorCode::kData, "{}: expected {}.jsonl (or .jsonl.zst, .jsonl.gz) for task {}, got none",
       fmt::join(searched, ", "), fmt::join(file_stems(form), ".jsonl or "), form.name);
}

std::vector<Instance> read_instances(const TaskForm& form, const fs::path& path,
                                     const std::string& prefix, int64_t limit) {
  std::vector<Instance> instances;
  // A file of several tasks names the task of each row.
  const bool shared = !form.file.empty() && path.filename().string().starts_with(form.file + ".");
  for_each_json_line(path, [&](const nlohmann::json& row, const std::string& where) {
    if (shared && row.is_object() && row.contains("task") && row["task"] != form.name) {
      return true;
    }
    instances.push_back(make_instance(form.prompt, row, prefix, where));
    return limit == 0 || static_cast<int64_t>(instances.size()) < limit;
  });
  if (instances.empty()) {
    fail(ErrorCode::kData, "{}: expected at least one instance of {}, got none", path.string(),
         form.name);
  }
  return instances;
}

Task load_task(const TaskForm& form, const TaskSource& source, const FewShotFile* few_shot) {
  const auto path = file_of(form, source);
  Task task{.name = form.name,
            .metric = form.metric,
            .bare_context = {},
            .shots = source.shots,
            .instances = {}};
  const auto prefix = few_shot != nullptr ? few_shot->prefix(form, source.shots) : std::string();
  task.instances = read_instances(form, path, prefix, source.limit);
  if (form.metric == Metric::kAccUncond) {
    task.bare_context = kBareAnswer;
  }
  // Where there is nothing to choose from, an accuracy would always be 1.
  const bool one_choice =
      std::all_of(task.instances.begin(), task.instances.end(),
                  [](const Instance& instance) { return instance.choices.size() == 1; });
  if (one_choice && form.metric != Metric::kAccGreedy) {
    task.metric = Metric::kBitsPerByte;
  }
  return task;
}

}  // namespace

std::vector<std::string> expand_suites(const std::vector<std::string>& names) {
  std::vector<std::string> tasks;
  const auto add = [&](const std::string& name) {
    if (std::find(tasks.begin(), tasks.end(), name) == tasks.end()) {
      tasks.push_back(name);
    }
  };
  for (const auto& name : names) {
    const auto suite = std::find_if(suites().begin(), suites().end(),
                                    [&](const Suite& item) { return item.name == name; });
    if (suite == suites().end()) {
      add(name);
    } else {
      std::for_each(suite->tasks.begin(), suite->tasks.end(), add);
    }
  }
  return tasks;
}

std::vector<Task> load_tasks(const std::vector<std::string>& names, const TaskSource& source) {
  check_source(source);
  std::optional<FewShotFile> few_shot;
  if (source.shots > 0) {
    few_shot.emplace(source.few_shot_file);
  }
  std::vector<Task> tasks;
  for (const auto& name : expand_suites(names)) {
    tasks.push_back(load_task(task_form(name), source, few_shot ? &*few_shot : nullptr));
  }
  return tasks;
}

}  // namespace loopbank
