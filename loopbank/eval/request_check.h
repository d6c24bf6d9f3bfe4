#pragma once
/// Prompts compared with recorded OLMES requests, byte for byte.
///
/// A recorded request is a row {"task_name", "doc", "doc_id", "idx", "request": {"context",
/// "continuation"}}. Its prompt is rebuilt from the document inside the row and, where data folders
/// are given, once more from the document of the same id, or else of the same text, in the task's
/// own file: so the file readers are checked against the record as well.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace loopbank {

struct RequestCheckOptions {
  std::vector<std::filesystem::path> data;  ///< folders of task files; may be empty
  std::filesystem::path few_shot_file;      ///< needed where there are shots
  std::optional<int64_t> shots;             ///< absent: all that the file has for a task
};

/// Where a text that we made differs from the recorded one.
struct RequestDifference {
  std::string where;  ///< `file:line` of the recorded request
  std::string part;   ///< context, continuation, label or choice
  size_t byte = 0;    ///< the first that differs, from 0
  std::string recorded;
  std::string made;
};

/// Requests of one file against documents of one origin.
struct RequestCount {
  std::filesystem::path origin;  ///< file of documents; the requests' own where these hold them
  int64_t requests = 0;          ///< that were compared
  int64_t equal = 0;
  int64_t not_found = 0;  ///< requests whose document the origin does not hold
  std::optional<RequestDifference> first_difference;
};

/// One file of recorded requests.
struct RequestFileCheck {
  std::filesystem::path file;
  std::string task;
  int64_t shots = 0;
  RequestCount recorded;           ///< made from the documents inside the requests
  std::vector<RequestCount> data;  ///< made from the task's file in each data folder that has one
};

/// Compares every request in the .jsonl files (plain, .zst, .gz) of a folder, in order of name.
/// Twins without a query (doc_id from 1,000,000) have the context "Answer:" and no shots.
/// @throws Error kConfig for shots without a file or an unknown task; kData for a folder without a
///   request or a row of another form
[[nodiscard]] std::vector<RequestFileCheck> check_requests(const std::filesystem::path& directory,
                                                           const RequestCheckOptions& options);

/// Requests that are not equal, over all files and origins.
[[nodiscard]] int64_t count_differences(const std::vector<RequestFileCheck>& checks);

/// `NAME: n of n equal`, one line per file and origin, each followed by its first difference, and
/// the sum.
[[nodiscard]] std::string describe(const std::vector<RequestFileCheck>& checks);

/// {"equal": bool, "files": [{"file", "task", "shots", "origins": [{"origin", "requests", "equal",
/// "not_found", "first_difference"}]}]}
[[nodiscard]] nlohmann::ordered_json to_json(const std::vector<RequestFileCheck>& checks);

}  // namespace loopbank
