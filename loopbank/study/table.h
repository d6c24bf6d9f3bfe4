#pragma once
/// A study as text: the paper's table with the measured scores, and the paper's findings.

#include <string>

#include "loopbank/study/results.h"

namespace loopbank {

/// The table: scores with their spread over seeds (one seed: standard error over its questions),
/// sizes and speed, and beside them the paper's own scores, which were measured on other data.
[[nodiscard]] std::string format_table(const PartResult& part);

/// `IsoPar-M matches Mem (g0=0) by parameters: -0.8 % parameters, ...`: how near a derived baseline
/// came to what it matches.
/// @param system  one that matches another
[[nodiscard]] std::string describe_match(const SystemResult& system, const PartResult& part);

/// What a study compares whose systems start from an existing model, and what its control is; empty for
/// any other.
[[nodiscard]] std::string note_on_init(const PartResult& part);

/// The paper's findings one by one: what came out, what did not, what is not told apart, and how sure that
/// is.
[[nodiscard]] std::string format_claims(const PartResult& part);

}  // namespace loopbank
