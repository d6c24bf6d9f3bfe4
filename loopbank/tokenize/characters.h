#pragma once
/// What normalizers and added tokens need of characters: white space at the ends of a text, marks,
/// lower case and the four normal forms, as Hugging Face `tokenizers` 0.22 has them.
///
/// Its parts follow Unicode 9 (normal forms, marks) and 17 (lower case); utf8proc, which knows one
/// version between them, is corrected by tables. Classes of characters that patterns and steps cut by
/// are in code_points.h.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "loopbank/support/utf8.h"

namespace loopbank {

/// The first or last character of any bytes; nothing where they are no UTF-8 there, or none.
[[nodiscard]] std::optional<char32_t> first_character(std::string_view text);
[[nodiscard]] std::optional<char32_t> last_character(std::string_view text);

/// Takes any bytes apart at each byte that is no part of a character: calls `run(text, offset)` for what
/// is well-formed before it, which may be nothing, and `byte(text)` for that byte.
template <typename Run, typename Byte>
void for_each_utf8_run(std::string_view text, Run&& run, Byte&& byte) {
  for (size_t begin = 0; begin < text.size();) {
    const auto rest = text.substr(begin);
    const size_t valid = valid_utf8_prefix(rest);
    run(rest.substr(0, valid), begin);
    if (valid < rest.size()) {
      byte(rest.substr(valid, 1));
    }
    begin += valid + 1;
  }
}

/// Bytes of white space (White_Space) at the start or the end.
[[nodiscard]] size_t leading_white_space(std::string_view text);
[[nodiscard]] size_t trailing_white_space(std::string_view text);

/// General category Mark.
[[nodiscard]] bool is_mark(char32_t code_point);

/// Appends the lower case of one character, whatever stands around it.
void append_lower_case(char32_t code_point, std::string& text);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
/// Well-formed UTF-8 in a normal form.
[[nodiscard]] std::string to_normal_form(std::string_view text, NormalForm form);

/// Well-formed UTF-8 in which each byte that is no part of a character has become U+FFFD.
[[nodiscard]] std::string with_replacement_characters(std::string_view text);

}  // namespace loopbank
