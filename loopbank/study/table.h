#pragma once
/// A study as text: the paper's table with the measured scores, and the paper's findings.

#include <string>

#include "loopbank/study/results.h"

namespace loopbank {

/// The table: scores with their spread over seeds (one seed: standard error over its questions),
/// sizes and speed, and beside them the paper's own scores, which were measured on other data.
[[nodiscard]] std::string format_table(const PartResult& part);

/// The paper's findings one by one: what came out, what did not, what is too near to tell.
[[nodiscard]] std::string format_claims(const PartResult& part);

}  // namespace loopbank
