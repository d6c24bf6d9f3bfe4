#include "loopbank/eval/few_shot.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "loopbank/eval/json_lines.h"
#include "loopbank/eval/task_name.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

/// `spelled` is a row's task: `arc_easy:rc::olmes`, `minerva_math_*:bpb::olmes`.
bool names_task(std::string_view spelled, std::string_view task) {
  const auto pattern = short_name(spelled);
  if (spelled.substr(pattern.size()).starts_with(":mc")) {
    return false;
  }
  if (pattern.ends_with('*')) {
    return task.starts_with(pattern.substr(0, pattern.size() - 1));
  }
  return pattern == task;
}

/// Where each shot ends, behind its blank line.
std::vector<size_t> shot_ends(const std::string& prefix, std::string_view opening) {
  constexpr std::string_view kBlankLine = "\n\n";
  std::vector<size_t> ends;
  for (size_t at = prefix.find(kBlankLine); at != std::string::npos;
       at = prefix.find(kBlankLine, at + kBlankLine.size())) {
    const auto next = at + kBlankLine.size();
    if (next == prefix.size() || prefix.compare(next, opening.size(), opening) == 0) {
      ends.push_back(next);
    }
  }
  return ends;
}

}  // namespace

FewShotFile::FewShotFile(const std::filesystem::path& path) : path_(path) {
  for_each_json_line(path, [this](const nlohmann::json& value, const std::string& where) {
    const bool is_row = value.is_object() && value.contains("task") && value["task"].is_string() &&
                        value.contains("num_shots") && value["num_shots"].is_number_unsigned() &&
                        value.contains("prefix") && value["prefix"].is_string();
    if (!is_row) {
      fail(ErrorCode::kData,
           "{}: expected {{\"task\": text, \"num_shots\": number, \"prefix\": text}}, got {}.",
           where, value.dump().substr(0, 80));
    }
    rows_.push_back({.task = value["task"].get<std::string>(),
                     .num_shots = value["num_shots"].get<int64_t>(),
                     .prefix = value["prefix"].get<std::string>(),
                     .line = std::stoll(where.substr(where.rfind(':') + 1))});
    return true;
  });
}

const FewShotFile::Row* FewShotFile::row_of(const TaskForm& task) const {
  const auto found = std::find_if(rows_.begin(), rows_.end(),
                                  [&](const Row& row) { return names_task(row.task, task.name); });
  return found == rows_.end() ? nullptr : &*found;
}

std::optional<int64_t> FewShotFile::num_shots(const TaskForm& task) const {
  const auto* row = row_of(task);
  return row == nullptr ? std::nullopt : std::optional(row->num_shots);
}

std::string FewShotFile::prefix(const TaskForm& task, int64_t shots) const {
  if (shots == 0) {
    return "";
  }
  const auto* row = row_of(task);
  if (row == nullptr) {
    fail(ErrorCode::kConfig, "{}: expected shots for {}, got none. Add a row or use --shots 0.",
         path_.string(), task.name);
  }
  if (shots > row->num_shots) {
    fail(ErrorCode::kConfig, "{}:{}: expected {} shots for {}, got {}. Ask for fewer shots.",
         path_.string(), row->line, shots, task.name, row->num_shots);
  }
  if (shots == row->num_shots) {
    return row->prefix;
  }
  const auto ends = shot_ends(row->prefix, shot_opening(task.prompt));
  if (static_cast<int64_t>(ends.size()) != row->num_shots) {
    fail(ErrorCode::kData,
         "{}:{}: expected {} shots that each end with a blank line, got {}. Ask for all {} shots "
         "or correct the prefix.",
         path_.string(), row->line, row->num_shots, ends.size(), row->num_shots);
  }
  return row->prefix.substr(0, ends[static_cast<size_t>(shots - 1)]);
}

}  // namespace loopbank
