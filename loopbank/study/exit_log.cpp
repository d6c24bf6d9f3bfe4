#include "loopbank/study/exit_log.h"

#include <fmt/format.h>

#include <string_view>

#include "loopbank/study/exit_row.h"
#include "loopbank/support/files.h"
#include "loopbank/support/json.h"

namespace loopbank {
namespace {

constexpr std::string_view kFirstLine = "{\"settings\":";

/// @throws Error kData naming the first setting that differs
void expect_same_settings(const nlohmann::json& stored, const nlohmann::json& wanted,
                          const std::string& where) {
  for (const auto& [key, value] : wanted.items()) {
    const auto found = stored.find(key);
    if (found == stored.end() || *found != value) {
      fail(ErrorCode::kData,
           "{}: expected rows measured with {} = {}, got {}. Ask for what they were measured with, "
           "or give another --out.",
           where, key, value.dump(), found == stored.end() ? "none" : found->dump());
    }
  }
}

}  // namespace

ExitLog::ExitLog(std::filesystem::path path, nlohmann::ordered_json settings)
    : path_(std::move(path)) {
  const bool is_there = std::filesystem::exists(path_);
  if (is_there) {
    read(settings);
  }
  file_.open(path_, std::ios::app | std::ios::binary);
  if (!file_) {
    fail(ErrorCode::kData, "{}: expected a file that can be written, got none.", path_.string());
  }
  if (!is_there || std::filesystem::file_size(path_) == 0) {
    write({{"settings", std::move(settings)}});
  }
}

void ExitLog::read(const nlohmann::ordered_json& settings) {
  const auto text = read_file(path_, ErrorCode::kData);
  const auto begin = std::string_view(text).substr(0, kFirstLine.size());
  if (begin != kFirstLine.substr(0, begin.size())) {
    fail(ErrorCode::kData,
         "{}: expected the rows of bench exit, got another text. Give another --out.",
         path_.string());
  }
  size_t whole = 0;
  for (int64_t number = 1; whole < text.size(); ++number) {
    const auto end = text.find('\n', whole);
    if (end == std::string::npos) {
      break;
    }
    const auto where = fmt::format("{}:{}", path_.string(), number);
    const auto line = std::string_view(text).substr(whole, end - whole);
    const auto json = parse_json_line(line, where, {.expected = "a row of exits"});
    if (number == 1) {
      const JsonValues values(json, where, {.expected = "the settings of the rows"});
      expect_same_settings(values.object("settings"), nlohmann::json(settings), where);
    } else if (json.contains("rules")) {
      for (const auto& rule : JsonValues(json, where).list("rules")) {
        rules_.push_back(rule.get<std::string>());
      }
    } else {
      rows_.emplace_back(JsonValues(json, where).count("model"), read_stored_row(json, where));
    }
    whole = end + 1;
  }
  if (whole < text.size()) {
    std::filesystem::resize_file(path_, whole);
  }
}

void ExitLog::write_rules(std::vector<std::string> rules) {
  rules_ = std::move(rules);
  write({{"rules", rules_}});
}

std::vector<ExitResult> ExitLog::rows(int64_t model) const {
  std::vector<ExitResult> rows;
  for (const auto& [of_model, row] : rows_) {
    if (of_model == model) {
      rows.push_back(row);
    }
  }
  return rows;
}

void ExitLog::append(int64_t model, const ExitResult& row) {
  nlohmann::ordered_json line = {{"model", model}};
  line.update(stored_row_json(row));
  write(line);
  rows_.emplace_back(model, row);
}

void ExitLog::write(const nlohmann::ordered_json& line) {
  file_ << line.dump() << '\n';
  file_.flush();
  if (!file_) {
    fail(ErrorCode::kData, "{}: expected room for another line, got a failed write.",
         path_.string());
  }
}

}  // namespace loopbank
