#pragma once
/// Patterns for an Oniguruma that is older than Unicode 16 and than the one behind `tokenizers`.
///
/// \w, \d, \b, \p{..} by general category and by POSIX name, and POSIX brackets ask Oniguruma for its
/// own tables, those of Unicode 14 in 6.9.8 and of 15.1 in 6.9.9; and [[:punct:]] has held symbols
/// since 6.9.9 only. Here each becomes a property of this program's, with the characters of
/// Unicode 16 (tokenize/code_points.h). Not so: \X, scripts but Han, other properties, and
/// patterns with the options (?W), (?D), (?S), (?P), (?y{..}): there, characters that are newer than
/// Oniguruma are unassigned.

#include <string>
#include <string_view>

namespace loopbank {

/// The pattern with properties of Unicode 16; the caller holds oniguruma_mutex().
/// @throws Error kData when the patterns of this process name more than 20 properties, which is
///   as many as Oniguruma takes
[[nodiscard]] std::string with_unicode_16(std::string_view pattern);

}  // namespace loopbank
