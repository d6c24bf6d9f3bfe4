#pragma once
/// Tasks from a folder of local files.
///
/// A task NAME is the first that exists of DIR/NAME.SPLIT.jsonl and DIR/NAME.jsonl, each also with
/// .zst or .gz; the split that OLMES scores comes first. The seven of MATH stand together in
/// MATH.test.jsonl, told apart by their field `task`. A name without a form of its own is scored
/// verbatim: `context`, then " " + choice.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "loopbank/eval/task.h"

namespace loopbank {

struct TaskSource {
  std::vector<std::filesystem::path> directories;  ///< searched in this order
  int64_t limit = 0;                               ///< instances a task, from the first; 0: all
  int64_t shots = 0;
  std::filesystem::path few_shot_file;  ///< needed where shots > 0
};

/// The names with every suite replaced by its tasks, each task once.
[[nodiscard]] std::vector<std::string> expand_suites(const std::vector<std::string>& names);

/// Reads the tasks of these names and suites, prompts written out.
/// @throws Error kConfig for an unknown name (with the nearest one) or shots without a file; kData
///   for a missing folder or file, a broken line (`file:line`) or a task without an instance
[[nodiscard]] std::vector<Task> load_tasks(const std::vector<std::string>& names,
                                           const TaskSource& source);

}  // namespace loopbank
