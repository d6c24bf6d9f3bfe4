#pragma once
/// The printable spelling of bytes in tokenizer.json: GPT-2's map from bytes to characters.
///
/// A byte that is a printable Latin-1 character stands for itself; the other 68 map to the
/// characters from U+0100 on, in order. So a space is U+0120 and a line feed U+010A.

#include <optional>
#include <string>
#include <string_view>

namespace loopbank {

/// The bytes in their printable spelling, as UTF-8.
[[nodiscard]] std::string spell_bytes(std::string_view bytes);

/// The bytes that a spelling stands for; nothing if it has a character outside the alphabet.
/// @param spelling  well-formed UTF-8
[[nodiscard]] std::optional<std::string> bytes_of_spelling(std::string_view spelling);

}  // namespace loopbank
