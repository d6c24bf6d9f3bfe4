#pragma once
/// Task names as they are asked for: short (`arc_easy`, `arc_easy:bpb`) or as OLMES spells them
/// (`arc_easy:rc::olmes`, `arc_easy:rc:bpb::olmes:full`, `minerva_math_algebra::olmes`).
///
///     :rc             the cloze form, the only one here
///     :bpb            the headline figure is bits_per_byte_corr, whatever the task's own is
///     ::olmes         the documents and the number of shots that OLMES takes
///     ::olmes:full    the same on all documents

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/eval/task.h"

namespace loopbank {

/// A task and what its spelling asks for.
struct TaskName {
  std::string spelled;
  TaskForm form;                 ///< with the headline that the spelling asks for
  bool olmes_documents = false;  ///< those that OLMES scores
  std::optional<int64_t> shots;  ///< the number that OLMES takes, where the name asks for it
};

/// The part of a spelled name that names the task or suite: what stands before the first colon.
[[nodiscard]] std::string_view short_name(std::string_view spelled);

/// The short names of all tasks and suites.
[[nodiscard]] std::vector<std::string> known_names();

/// What may follow a task's short name, except nothing.
[[nodiscard]] std::vector<std::string_view> name_endings(const TaskForm& form);

/// @throws Error kConfig for an ending that the task does not have, with the nearest spelling or
/// name
[[nodiscard]] TaskName parse_task_name(std::string_view spelled);

}  // namespace loopbank
