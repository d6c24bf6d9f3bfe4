#pragma once
/// Names of people, towns, rivers and countries that occur in no other text, built from syllables.

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "loopbank/support/random.h"

namespace loopbank {

enum class NameKind { kGivenName, kSurname, kTown, kRiver, kCountry };

/// The most names of a kind that can be asked for: fewer than half of those that exist.
[[nodiscard]] int64_t max_invented_names(NameKind kind);

/// `count` names, different from each other and from those in `taken`, to which they are added.
/// @throws Error kConfig for a count below 0 or above max_invented_names
[[nodiscard]] std::vector<std::string> invent_names(NameKind kind, int64_t count,
                                                    RandomStream& random,
                                                    std::set<std::string>& taken);

}  // namespace loopbank
