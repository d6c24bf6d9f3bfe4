#pragma once
/// What the slots of a model's memory banks answer to, for the page: the inspector's report cut down.

#include <optional>
#include <string>

#include "loopbank/serve/api/served_model.h"

namespace loopbank {

/// The body of GET /slots.json from DIRECTORY/memory.json, which `loopbank inspect DIRECTORY --text FILE
/// --out DIRECTORY/memory.json` writes (docs/formats.md, inspect):
///
///     {"layer0": {"17": {"tokens": [" born", ...], "context": [before, token, after]}, ...},
///      "global": {...}}
///
/// with at most five tokens a slot and the few words around the token that reads it most. `context`
/// is absent for a slot that no token of the text read.
/// @return nothing where there is no such file; where it is broken or of a model of another shape,
///   nothing, and one line of warning
[[nodiscard]] std::optional<std::string> read_slot_texts(const ServedModel& served);

}  // namespace loopbank
