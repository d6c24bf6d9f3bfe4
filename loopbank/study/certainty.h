#pragma once
/// How sure the verdicts of a part are, in sentences: the rule, the families of tests, how many seeds
/// there are, and the smallest effect that each column could have shown.

#include <string>
#include <vector>

#include "loopbank/study/results.h"

namespace loopbank {

/// The sentences of the page's box "How sure is this?", which the terminal prints, too; empty where
/// nothing was compared.
[[nodiscard]] std::vector<std::string> describe_certainty(const PartResult& part);

}  // namespace loopbank
