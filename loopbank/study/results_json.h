#pragma once
/// The study's results as JSON: result.json of a run and results.json of all, as docs/formats.md
/// lists them. A leaf: what computes with results reads the types of results.h.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "loopbank/study/results.h"

namespace loopbank {

[[nodiscard]] nlohmann::ordered_json to_json(const RunResult& run);
/// @param where  names the file in errors
/// @throws Error kData for a missing key or a value of another type
[[nodiscard]] RunResult run_result_from_json(const nlohmann::ordered_json& json,
                                             const std::string& where);

[[nodiscard]] nlohmann::ordered_json to_json(const StudyResult& result);

/// The study that was written, for readers of a results.json: a study that goes on reads the files of
/// its runs instead. What is missing stays as it is in an empty result; a claim without its
/// comparison is left out.
/// @throws Error kData for a value of another type, naming its key
[[nodiscard]] StudyResult study_result_from_json(const nlohmann::ordered_json& json,
                                                 const std::string& where = "results.json");

}  // namespace loopbank
