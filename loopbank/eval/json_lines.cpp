#include "loopbank/eval/json_lines.h"

#include <nlohmann/json.hpp>

#include "loopbank/data/text_reader.h"

namespace loopbank {
namespace {

const JsonForm kRowForm = {.expected = "a line of JSON", .remedy = "Correct or drop the line."};

}  // namespace

void for_each_json_line(
    const std::filesystem::path& path,
    const std::function<bool(const nlohmann::json& value, const std::string& where)>& take) {
  LineReader reader(path);
  for_each_json_line([&](std::string& line) { return reader.next(line); }, path.string(), kRowForm,
                     take);
}

JsonValues values_of(const nlohmann::json& row, const std::string& where) {
  return {row, where, kRowForm};
}

}  // namespace loopbank
