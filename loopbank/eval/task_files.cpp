#include "loopbank/eval/task_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "loopbank/data/text_reader.h"
#include "loopbank/eval/few_shot.h"
#include "loopbank/eval/json_lines.h"
#include "loopbank/eval/python_sample.h"
#include "loopbank/eval/python_text.h"
#include "loopbank/eval/task_name.h"
#include "loopbank/support/error.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kOlmesSeed = 1234;

/// Every name that could have been asked for.
std::vector<std::string> askable_names(const std::vector<fs::path>& directories) {
  const auto known = known_names();
  std::set<std::string> names(known.begin(), known.end());
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
  const int64_t shots = source.shots.value_or(0);
  if (shots > 0 && source.few_shot_file.empty()) {
    fail(ErrorCode::kConfig,
         "--shots {}: expected a file of shots, got none. Name one with --fewshot FILE.", shots);
  }
  if (shots < 0 || source.limit < 0) {
    fail(ErrorCode::kConfig, "load_tasks: expected shots and limit of 0 or more, got {} and {}.",
         shots, source.limit);
  }
  for (const auto& directory : source.directories) {
    std::error_code error;
    if (!fs::is_directory(directory, error)) {
      fail(ErrorCode::kData, "{}: expected a folder of .jsonl files, got {}.", directory.string(),
           fs::exists(directory, error) ? "a file" : "nothing of that name");
    }
  }
}

TaskFile file_of(const TaskForm& form, const TaskSource& source) {
  for (const auto& directory : source.directories) {
    if (const auto file = find_task_file(form, directory)) {
      return *file;
    }
  }
  if (!is_known_task(form.name)) {
    fail(ErrorCode::kConfig, "--tasks: unknown task \"{}\".{}", form.name,
         suggestion(form.name, askable_names(source.directories)));
  }
  std::vector<std::string> searched;
  for (const auto& directory : source.directories) {
    searched.push_back(directory.string());
  }
  fail(ErrorCode::kData, "{}: expected {}.jsonl (or .jsonl.zst, .jsonl.gz) for task {}, got none.",
       fmt::join(searched, ", "), fmt::join(file_stems(form), ".jsonl or "), form.name);
}

/// The labels of a .lst file, one a line.
std::vector<std::string> read_labels(const fs::path& path) {
  std::vector<std::string> labels;
  LineReader reader(path);
  std::string line;
  while (reader.next(line)) {
    labels.emplace_back(python_strip(line));
  }
  while (!labels.empty() && labels.back().empty()) {
    labels.pop_back();
  }
  return labels;
}

/// Whether a row of a file that several tasks share belongs to this one: by `task`, or by the
/// subject in `type` ("Counting & Probability").
bool belongs_to(const TaskForm& form, const nlohmann::json& row, const std::string& where) {
  if (row.is_object() && row.contains("task")) {
    return values_of(row, where).text("task") == form.name;
  }
  const std::string type = values_of(row, where).text("type");
  std::string subject;
  for (const char letter : type) {
    if (letter == '&') {
      subject += "and";
    } else {
      subject += letter == ' ' ? '_' : static_cast<char>(std::tolower(letter));
    }
  }
  return form.name == math_task(subject);
}

/// Ids that were met, so that a second one is refused.
class UniqueIds {
 public:
  void add(const std::string& id, const std::string& where) {
    const auto [first, is_new] = places_.emplace(id, where);
    if (!is_new && !id.empty()) {
      fail(ErrorCode::kData, "{}: expected a unique id, got \"{}\" as at {}. Drop one of them.",
           where, id, first->second);
    }
  }

 private:
  std::map<std::string, std::string> places_;
};

/// The documents that are scored, of all that the file has.
std::vector<Document> chosen(std::vector<Document> documents, const TaskName& name,
                             const fs::path& file, int64_t limit, std::vector<std::string>& notes) {
  const auto size = static_cast<int64_t>(documents.size());
  const int64_t wanted = limit > 0 ? limit : name.form.olmes_sample;
  const auto count = static_cast<size_t>(wanted > 0 ? std::min(wanted, size) : size);
  if (name.form.split_size != 0 && size != name.form.split_size) {
    if (limit > 0) {
      documents.resize(count);
    }
    notes.push_back(fmt::format(
        "{}: not the documents of OLMES, which scores {} of the {} of the {} split: {} holds {}, "
        "of which the first {} are scored",
        name.spelled, wanted > 0 ? std::min(wanted, name.form.split_size) : name.form.split_size,
        name.form.split_size, name.form.split, file.filename().string(), size, documents.size()));
    return documents;
  }
  if (count == documents.size()) {
    return documents;
  }
  std::vector<Document> sample;
  for (const int64_t at : python_sample(kOlmesSeed, size, static_cast<int64_t>(count))) {
    sample.push_back(std::move(documents[static_cast<size_t>(at)]));
  }
  return sample;
}

Task load_task(const TaskName& name, const TaskSource& source, const FewShotFile* few_shot) {
  const auto& form = name.form;
  const auto file = file_of(form, source);
  Task task{.name = name.spelled,
            .metric = form.metric,
            .bare_context = {},
            .shots = source.shots.value_or(name.shots.value_or(0)),
            .instances = {},
            .notes = {}};
  if (task.shots > 0 && few_shot == nullptr) {
    fail(ErrorCode::kConfig,
         "{}: expected a file of its {} shots, got none. Name one with --fewshot FILE, or use "
         "--shots 0.",
         name.spelled, task.shots);
  }
  const auto prefix = few_shot != nullptr ? few_shot->prefix(form, task.shots) : std::string();
  const bool olmes = name.olmes_documents || source.documents == DocumentChoice::kOlmes;
  auto documents = read_documents(form, file, olmes ? 0 : source.limit);
  if (olmes) {
    documents = chosen(std::move(documents), name, file.rows, source.limit, task.notes);
  }
  for (const auto& document : documents) {
    task.instances.push_back(make_instance(form.prompt, document, prefix));
  }
  if (form.metric == Metric::kAccUncond) {
    task.bare_context = kBareContext;
  }
  // Where there is nothing to choose from, an accuracy would always be 1. The program's own problems
  // have answers that are right or wrong to the letter.
  const auto all = [&](auto&& holds) {
    return std::all_of(task.instances.begin(), task.instances.end(), holds);
  };
  if (all([](const Instance& instance) { return instance.choices.size() == 1; }) &&
      form.metric != Metric::kAccGreedy) {
    const bool is_own = all([](const Instance& instance) { return !instance.steps.empty(); });
    task.metric = is_own ? Metric::kAccGreedy : Metric::kBitsPerByte;
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

std::vector<Document> read_documents(const TaskForm& form, const TaskFile& file, int64_t most) {
  std::vector<Document> documents;
  UniqueIds ids;
  const auto labels = file.labels.empty() ? std::vector<std::string>() : read_labels(file.labels);
  const bool shared =
      !form.file.empty() && file.rows.filename().string().starts_with(form.file + ".");
  bool is_whole = true;
  for_each_json_line(file.rows, [&](const nlohmann::json& row, const std::string& where) {
    if (shared && !belongs_to(form, row, where)) {
      return true;
    }
    if (file.labels.empty()) {
      documents.push_back(read_document(form.prompt, row, where));
    } else if (documents.size() < labels.size() && row.is_object()) {
      auto labelled = row;
      labelled["label"] = labels[documents.size()];
      documents.push_back(read_document(
          form.prompt, labelled,
          fmt::format("{} (label at {}:{})", where, file.labels.string(), documents.size() + 1)));
    } else {
      fail(ErrorCode::kData, "{}: expected a label for each row of {}, got {}. Row {} has none.",
           file.labels.string(), file.rows.string(), labels.size(), documents.size() + 1);
    }
    ids.add(documents.back().id, where);
    is_whole = static_cast<int64_t>(documents.size()) != most;
    return is_whole;
  });
  if (documents.empty()) {
    fail(ErrorCode::kData, "{}: expected at least one instance of {}, got none.",
         file.rows.string(), form.name);
  }
  if (is_whole && !file.labels.empty() && labels.size() != documents.size()) {
    fail(ErrorCode::kData, "{}: expected {} labels, as {} has rows, got {}.", file.labels.string(),
         documents.size(), file.rows.string(), labels.size());
  }
  return documents;
}

std::vector<Task> load_tasks(const std::vector<std::string>& names, const TaskSource& source) {
  check_source(source);
  std::vector<TaskName> asked;
  for (const auto& name : expand_suites(names)) {
    asked.push_back(parse_task_name(name));
  }
  std::optional<FewShotFile> few_shot;
  const bool has_shots = std::any_of(asked.begin(), asked.end(), [&](const TaskName& name) {
    return source.shots.value_or(name.shots.value_or(0)) > 0;
  });
  if (has_shots && !source.few_shot_file.empty()) {
    few_shot.emplace(source.few_shot_file);
  }
  std::vector<Task> tasks;
  for (const auto& name : asked) {
    tasks.push_back(load_task(name, source, few_shot ? &*few_shot : nullptr));
  }
  return tasks;
}

}  // namespace loopbank
