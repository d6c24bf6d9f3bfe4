#pragma once
/// A row of a study of exits as JSON: what was measured, without what follows from it.

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>

#include "loopbank/study/exit_study.h"

namespace loopbank {

/// The figures that are measured of a row, under their keys; of several models their means are told.
inline constexpr std::array kExitFigures = {
    std::pair{"bpb", &ExitResult::bpb},
    std::pair{"kl", &ExitResult::kl},
    std::pair{"top1_agreement", &ExitResult::top1_agreement},
    std::pair{"mean_loops", &ExitResult::mean_loops},
    std::pair{"flops_per_token", &ExitResult::flops_per_token},
    std::pair{"seconds", &ExitResult::seconds},
    std::pair{"seconds_of_all", &ExitResult::seconds_of_all},
    std::pair{"time_saved_share", &ExitResult::time_saved_share},
    std::pair{"noise_share", &ExitResult::noise_share},
    std::pair{"cpu_saved_share", &ExitResult::cpu_saved_share},
    std::pair{"cpu_noise_share", &ExitResult::cpu_noise_share}};

/// The figures of a row.
[[nodiscard]] nlohmann::ordered_json row_json(const ExitResult& row);

/// The same with the bits per byte of each document and the values of each question, from which the
/// row can be read again.
[[nodiscard]] nlohmann::ordered_json stored_row_json(const ExitResult& row);

/// @param where  names the row in errors, `file:line`
/// @throws Error kData for JSON of another form
[[nodiscard]] ExitResult read_stored_row(const nlohmann::json& json, const std::string& where);

}  // namespace loopbank
