#pragma once
/// A row of a study of exits as JSON: what was measured, without what follows from it.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "loopbank/study/exit_study.h"

namespace loopbank {

/// The figures of a row.
[[nodiscard]] nlohmann::ordered_json row_json(const ExitResult& row);

/// The same with the bits per byte of each document and the values of each question, from which the
/// row can be read again.
[[nodiscard]] nlohmann::ordered_json stored_row_json(const ExitResult& row);

/// @param where  names the row in errors, `file:line`
/// @throws Error kData for JSON of another form
[[nodiscard]] ExitResult read_stored_row(const nlohmann::json& json, const std::string& where);

}  // namespace loopbank
