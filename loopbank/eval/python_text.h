#pragma once
/// Python's text functions, for prompts that were published as Python made them.

#include <cstdint>
#include <string>
#include <string_view>

namespace loopbank {

/// `str.strip()` of well-formed UTF-8: without Unicode white space at either end.
[[nodiscard]] std::string_view python_strip(std::string_view text);

/// `str.rstrip()` of well-formed UTF-8: without Unicode white space at the end.
[[nodiscard]] std::string_view python_rstrip(std::string_view text);

/// `" ".join(text.split())`: runs of white space become one space, none at either end.
[[nodiscard]] std::string python_join_words(std::string_view text);

/// `str.capitalize()`: the first character upper, ALL THE REST lower. Letters of ASCII, Latin-1,
/// Latin Extended-A, Greek and Cyrillic change; every other character stays as it is.
[[nodiscard]] std::string python_capitalize(std::string_view text);

/// `text[0].capitalize() + text[1:]`: the first character upper, the rest as it is.
[[nodiscard]] std::string capitalize_first(std::string_view text);

}  // namespace loopbank
