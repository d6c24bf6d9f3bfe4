#pragma once
/// Where a task's rows are: file names as this project and the data sets' publishers write them.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/eval/task.h"

namespace loopbank {

/// A task's file.
struct TaskFile {
  std::filesystem::path rows;
  std::filesystem::path labels;  ///< one label per line; empty where the rows have their own
};

/// Names that a task's file may have, without the ending, in the order of preference: the shared
/// file of several tasks, NAME.SPLIT with the split that OLMES scores first, NAME, and the names
/// under which the data set was published.
[[nodiscard]] std::vector<std::string> file_stems(const TaskForm& form);

/// The task's file in a folder: .jsonl, .jsonl.zst or .jsonl.gz. A name that several data sets
/// share (`dev.jsonl`) counts only if its first row has the task's published form. Labels are in
/// STEM-labels.lst (or .zst, .gz) where the rows of PIQA and Social IQa have none.
[[nodiscard]] std::optional<TaskFile> find_task_file(const TaskForm& form,
                                                     const std::filesystem::path& directory);

/// The short name that a file of rows gives its task; empty for a file of another kind.
[[nodiscard]] std::string task_of_file(const std::string& file_name);

}  // namespace loopbank
