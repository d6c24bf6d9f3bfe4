#pragma once
/// A comparison as results.json has it: its differences, which are read back, and what follows from
/// them, which is judged anew.

#include <nlohmann/json_fwd.hpp>

#include "loopbank/study/verdict.h"

namespace loopbank {

/// The keys of docs/formats.md, `against`.
[[nodiscard]] nlohmann::ordered_json to_json(const SystemComparison& comparison);

}  // namespace loopbank
