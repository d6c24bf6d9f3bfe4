#include "loopbank/eval/json_lines.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "loopbank/data/text_reader.h"
#include "loopbank/support/error.h"
#include "loopbank/support/json_nesting.h"

namespace loopbank {
namespace {

/// The library's message without its own prefix, `[json.exception.parse_error.101] `.
std::string reason(const nlohmann::json::exception& error) {
  const std::string text = error.what();
  const auto end = text.find("] ");
  return end == std::string::npos ? text : text.substr(end + 2);
}

}  // namespace

void for_each_json_line(
    const std::filesystem::path& path,
    const std::function<bool(const nlohmann::json& value, const std::string& where)>& take) {
  LineReader reader(path);
  std::string line;
  while (reader.next(line)) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) {
      continue;
    }
    const auto where = fmt::format("{}:{}", path.string(), reader.line_number());
    expect_shallow_json(line, where, ErrorCode::kData);
    nlohmann::json value;
    try {
      value = nlohmann::json::parse(line);
    } catch (const nlohmann::json::exception& error) {
      fail(ErrorCode::kData, "{}: expected a line of JSON, got {}. Correct or drop the line.",
           where, reason(error));
    }
    if (!take(value, where)) {
      return;
    }
  }
}

const nlohmann::json& json_field(const nlohmann::json& row, const char* name,
                                 const std::string& where) {
  if (!row.is_object()) {
    fail(ErrorCode::kData, "{}: expected a JSON object, got {}.", where, row.type_name());
  }
  const auto found = row.find(name);
  if (found == row.end()) {
    fail(ErrorCode::kData, "{}: expected a field \"{}\", got none. Add it or drop the line.", where,
         name);
  }
  return *found;
}

const std::string& as_text(const nlohmann::json& value, const std::string& name,
                           const std::string& where) {
  if (!value.is_string()) {
    fail(ErrorCode::kData, "{}: expected a text in \"{}\", got {}.", where, name, value.dump());
  }
  return value.get_ref<const std::string&>();
}

int64_t as_integer(const nlohmann::json& value, const std::string& name, const std::string& where) {
  if (!value.is_number_integer()) {
    fail(ErrorCode::kData, "{}: expected a whole number in \"{}\", got {}.", where, name,
         value.dump());
  }
  return value.get<int64_t>();
}

}  // namespace loopbank
