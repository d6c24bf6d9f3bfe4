#pragma once
/// The paper's findings beside ours: what came out here, what did not, and what is too near to
/// tell.

#include <string>

#include "loopbank/study/results_view.h"

namespace loopbank {

/// How many of the findings came out, those that did not in words, and all of them as a table.
/// Empty where none was checked.
[[nodiscard]] std::string claims_html(const Json& part);

}  // namespace loopbank
