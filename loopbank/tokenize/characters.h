#pragma once
/// Characters as Hugging Face `tokenizers` 0.22 sees them: what is white space, part of a word or a
/// mark, their lower case, and the four normal forms.
///
/// Its parts follow Unicode 9 (normal forms, marks), 16 (words) and 17 (lower case); utf8proc, which
/// knows one version, is corrected by tables of the characters between them. A character that
/// utf8proc itself does not know yet has no properties.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace loopbank {

/// The code point that starts at `at` of well-formed UTF-8; `at` moves behind it. Other bytes give
/// some code point, and U+FFFD where they end too early.
[[nodiscard]] uint32_t read_character(std::string_view text, size_t& at);

/// Start of the code point that ends before `end`, which is not 0.
[[nodiscard]] size_t previous_character(std::string_view text, size_t end);

void append_character(uint32_t code_point, std::string& text);

/// Property White_Space.
[[nodiscard]] bool is_white_space(uint32_t code_point);

/// Letters, marks, digits, connectors and joiners: \w of UTS 18.
[[nodiscard]] bool is_word_character(uint32_t code_point);

/// General category Mark.
[[nodiscard]] bool is_mark(uint32_t code_point);

/// Bytes of white space at the start or the end of well-formed UTF-8.
[[nodiscard]] size_t leading_white_space(std::string_view text);
[[nodiscard]] size_t trailing_white_space(std::string_view text);

/// Appends the lower case of one character, whatever stands around it.
void append_lower_case(uint32_t code_point, std::string& text);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
/// Well-formed UTF-8 in a normal form.
[[nodiscard]] std::string to_normal_form(std::string_view text, NormalForm form);

/// Well-formed UTF-8 in which each byte that is no part of a character has become U+FFFD.
[[nodiscard]] std::string with_replacement_characters(std::string_view text);

}  // namespace loopbank
