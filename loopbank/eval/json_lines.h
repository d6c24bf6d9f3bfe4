#pragma once
/// JSON objects from a .jsonl file, plain, .gz or .zst, with the place of each, for errors.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace loopbank {

/// Calls `take` with each line's value and its place, `file:line`, until it returns false. Blank
/// lines are skipped.
/// @throws Error kData for a line that is not JSON, text that is not UTF-8 or a broken stream
void for_each_json_line(
    const std::filesystem::path& path,
    const std::function<bool(const nlohmann::json& value, const std::string& where)>& take);

/// A field of a row.
/// @throws Error kData where the row is not an object or has no such field
[[nodiscard]] const nlohmann::json& json_field(const nlohmann::json& row, const char* name,
                                               const std::string& where);

/// The value as a text, or as a whole number; errors call it `name`.
/// @throws Error kData for a value of another type
[[nodiscard]] const std::string& as_text(const nlohmann::json& value, const std::string& name,
                                         const std::string& where);
[[nodiscard]] int64_t as_integer(const nlohmann::json& value, const std::string& name,
                                 const std::string& where);

}  // namespace loopbank
