#pragma once
/// Names of people, towns, rivers and countries that no other text holds, built from syllables.

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "loopbank/support/random.h"

namespace loopbank {

enum class NameKind { kGivenName, kSurname, kTown, kRiver, kCountry };

/// As many names of a kind as can be asked for at most: fewer than half of those that there are.
[[nodiscard]] int64_t max_invented_names(NameKind kind);

/// `count` names, unlike each other and unlike those in `taken`, which they join.
/// @throws Error kConfig for a count below 0 or above max_invented_names
[[nodiscard]] std::vector<std::string> invent_names(NameKind kind, int64_t count,
                                                    RandomStream& random,
                                                    std::set<std::string>& taken);

}  // namespace loopbank
