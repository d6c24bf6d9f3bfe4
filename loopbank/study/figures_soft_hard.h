#pragma once
/// The figure of the soft mixture against the hard exit, from what `bench exit` stored.

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "loopbank/study/figures.h"

namespace loopbank {

/// Bits per byte of each rule that leaves hard less those of the same rule that mixes the loops it
/// ran, a panel a place; with intervals over models, of one model over documents.
/// @param bench  results.json of `bench exit`
/// @return nothing where no pair was measured
/// @throws Error kData for an object of another form; `where` names it
[[nodiscard]] std::optional<Figure> soft_hard_figure(const nlohmann::ordered_json& bench,
                                                     const std::string& where);

}  // namespace loopbank
