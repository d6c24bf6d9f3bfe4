#pragma once
/// A memory report as JSON and as text.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "loopbank/dissect/memory_inspector.h"

namespace loopbank {

/// Everything (docs/formats.md, inspect). Numbers have six significant digits.
[[nodiscard]] nlohmann::ordered_json to_json(const MemoryReport& report);

/// Three tables: reads by bank, layer and loop; costs; the most read slots of each bank. ASCII
/// control characters in the text are escaped (\n), so that none of them acts on a terminal.
[[nodiscard]] std::string format_report(const MemoryReport& report);

}  // namespace loopbank
