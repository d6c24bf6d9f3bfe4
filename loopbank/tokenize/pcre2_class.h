#pragma once
/// Classes of characters written for PCRE2, as Unicode 16 and Oniguruma have them.

#include <optional>
#include <string>

#include "loopbank/tokenize/code_points.h"

namespace loopbank {

/// The inside of a PCRE2 class that holds the characters of \p{category} as of Unicode 16: the
/// property, and where PCRE2 is older, what is newer. Compared once with what Oniguruma knows and
/// what is newer than that, over all of Unicode (about 10 ms); nothing where they differ, as they
/// do if PCRE2 is of a later Unicode.
/// @param category  "L", "Lu", ...
[[nodiscard]] std::optional<std::string> pcre2_class_of(const std::string& category);

/// The inside of a PCRE2 class that holds these characters.
[[nodiscard]] std::string pcre2_ranges(const CodePointSet& set);

}  // namespace loopbank
