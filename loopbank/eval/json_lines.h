#pragma once
/// JSON objects from a .jsonl file, plain, .gz or .zst, with the place of each, for errors.

#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "loopbank/support/json.h"

namespace loopbank {

/// Calls `take` with each line's value and its place, `file:line`, until it returns false. Blank
/// lines are passed over.
/// @throws Error kData for a line that is not JSON (support/json.h) or a broken stream
void for_each_json_line(
    const std::filesystem::path& path,
    const std::function<bool(const nlohmann::json& value, const std::string& where)>& take);

/// The values of a row, or of an object within it.
/// @throws Error kData where it is no object
[[nodiscard]] JsonValues values_of(const nlohmann::json& row, const std::string& where);

}  // namespace loopbank
