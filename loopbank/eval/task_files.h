#pragma once
/// Tasks from a folder of local files.
///
/// A task is read from the first of its files found in the folders (eval/task_locations.h). The
/// seven of MATH share MATH.test.jsonl and are told apart by a row's `task` or `type`. A name
/// without a form of its own is scored verbatim: `context`, then " " + choice.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/eval/task.h"
#include "loopbank/eval/task_locations.h"

namespace loopbank {

/// Which documents are scored if not all are.
enum class DocumentChoice {
  kFirst,  ///< the first of the file
  /// Those that OLMES draws: Python's random.Random(1234).sample over the split, as many as `limit`
  /// says or, without one, the task's own number (1,000 of arc_easy, hellaswag, piqa and socialiqa,
  /// all of the others). From a file that is not the whole split the first ones are taken instead,
  /// and the task gets a note that says so.
  kOlmes,
};

struct TaskSource {
  std::vector<std::filesystem::path> directories;  ///< searched in this order
  int64_t limit = 0;                               ///< instances per task; 0: all that are chosen
  /// Examples before every query; absent: OLMES's number for a name that ends in ::olmes, else 0.
  std::optional<int64_t> shots = std::nullopt;
  std::filesystem::path few_shot_file = {};           ///< required with shots
  DocumentChoice documents = DocumentChoice::kFirst;  ///< for names that do not say so themselves
};

/// The names with every suite replaced by its tasks, each task once.
[[nodiscard]] std::vector<std::string> expand_suites(const std::vector<std::string>& names);

/// All documents of a task's file.
/// @param most  documents to read; 0: all
/// @throws Error kData for a broken row (`file:line`), an id that an earlier line has, or a label
///   file of another length
[[nodiscard]] std::vector<Document> read_documents(const TaskForm& form, const TaskFile& file,
                                                   int64_t most = 0);

/// Reads the named tasks and suites and writes out their prompts.
/// @throws Error kConfig for an unknown name or variant (with the nearest one) or shots without a
///   file; kData for a missing folder or file, what read_documents refuses, or a task without an
///   instance
[[nodiscard]] std::vector<Task> load_tasks(const std::vector<std::string>& names,
                                           const TaskSource& source);

}  // namespace loopbank
