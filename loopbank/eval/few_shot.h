#pragma once
/// Few-shot examples: the fixed examples before every query of a task, read from a file.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/eval/task.h"

namespace loopbank {

/// Rows {"task", "num_shots", "prefix"}; the prefix holds the shots, each ended by a blank line. A
/// row's task is a name, with any variant after a colon (`arc_easy:rc::olmes`), or a prefix of
/// names that ends in `*` (`minerva_math_*`). A row of the multiple-choice form
/// (`arc_easy:mc::olmes`) is skipped. The first of several rows for a task counts.
class FewShotFile {
 public:
  /// Reads .jsonl, .jsonl.gz or .jsonl.zst.
  /// @throws Error kData naming file and line for a row of another form
  explicit FewShotFile(const std::filesystem::path& path);

  /// The number of shots that the file has for the task; nothing where it has no row for it.
  [[nodiscard]] std::optional<int64_t> num_shots(const TaskForm& task) const;

  /// The first `shots` shots of the task as the file has them, through the blank line after the
  /// last. A shot may contain blank lines if all shots of its task begin alike (shot_opening);
  /// otherwise a blank line ends it.
  /// @throws Error kConfig when the file has no row for the task or fewer shots; kData when the
  ///   prefix does not split into num_shots shots
  [[nodiscard]] std::string prefix(const TaskForm& task, int64_t shots) const;

 private:
  struct Row {
    std::string task;  ///< as it stands in the file
    int64_t num_shots = 0;
    std::string prefix;
    int64_t line = 0;
  };
  [[nodiscard]] const Row* row_of(const TaskForm& task) const;

  std::filesystem::path path_;
  std::vector<Row> rows_;
};

}  // namespace loopbank
