#pragma once
/// Patterns that PCRE2 and its JIT compiler may match in Oniguruma's place.
///
/// The meaning of a pattern is Oniguruma's (tokenize/regex.h). Most patterns of real tokenizers
/// are made of a few constructs that mean the same in both: characters, classes of them,
/// alternatives tried from left to right, groups, the common quantifiers, look-ahead. Those alone
/// are taken here, and every class is written out so that it holds the same characters in both:
///
///     taken       a  \r \n \t \x{..}  \. \+ ...  \s \S  \p{L} \P{Lu}  [..]  [^..]  a-z
///                 (..)  (?:..)  (?=..)  (?!..)  |  ? * +  {n} {n,m} {n,}  lazy and possessive
///                 (?i:..) around ASCII letters that no ligature folds to (ss, st, ff, fi, fl)
///     not taken   . ^ $ \b \w \d \h \R  [[..]]  &&  look-behind, back references, anything
///                 that can match nothing, and all that is not named here
///
/// The classes \p{..} are compared once over all of Unicode (tokenize/pcre2_class.h); where PCRE2's
/// and Oniguruma's differ, the pattern is Oniguruma's.

#include <optional>
#include <string>
#include <string_view>

namespace loopbank {

/// The pattern for PCRE2 (PCRE2_UTF | PCRE2_UCP) that finds the same matches, or nothing where
/// that is not certain.
[[nodiscard]] std::optional<std::string> pcre2_equivalent(std::string_view pattern);

}  // namespace loopbank
