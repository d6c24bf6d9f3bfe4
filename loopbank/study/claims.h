#pragma once
/// The paper's findings as comparisons of two systems in one column.

#include <vector>

#include "loopbank/study/results.h"

namespace loopbank {

/// Every finding of which both systems are done, with what was measured here.
///
/// The verdict rests on PairedScores::decisive: an interval that holds 0 is too near to tell.
[[nodiscard]] std::vector<Claim> check_claims(const PartResult& part, ScoreFolders& folders);

}  // namespace loopbank
